{{- /* Settings of both roles: the variables that the operator reads, all of them, so that no default hides in the image. */ -}}
{{- define "postern.environment" -}}
- name: POSTERN_SIDECAR_IMAGE
  value: {{ include "postern.image" (dict "root" . "image" .Values.images.sidecar) | quote }}
- name: POSTERN_SIDECAR_PULL_POLICY
  value: {{ .Values.images.sidecar.pullPolicy | quote }}
- name: POSTERN_NAMESPACE
  valueFrom: {fieldRef: {fieldPath: metadata.namespace}}
- name: POSTERN_WEBHOOK_SERVICE
  value: postern-webhook
- name: POSTERN_WEBHOOK_CONFIGURATION
  value: postern
- name: POSTERN_CERTIFICATE_SECRET
  value: {{ include "postern.certificateSecret" . | quote }}
- name: POSTERN_CERTIFICATE_DIRECTORY
  value: /certificates
- name: POSTERN_SELF_MANAGED_CERTIFICATES
  value: {{ eq .Values.certificates.mode "selfManaged" | quote }}
- name: POSTERN_CONTROLLER_ACCOUNT
  value: system:serviceaccount:{{ .Release.Namespace }}:postern-controller
- name: POSTERN_WEBHOOK_PORT
  value: {{ .Values.webhook.port | quote }}
- name: POSTERN_HEALTH_PORT
  value: "8080"
- name: POSTERN_RESYNC_SECONDS
  value: {{ .Values.resyncSeconds | quote }}
- name: POSTERN_LOG_LEVEL
  value: {{ .Values.logLevel | quote }}
{{- end }}

{{- /* Metadata of one role's pods; takes {root, role, values}. The chart's own labels come last and win. */ -}}
{{- define "postern.podMetadata" -}}
{{- with .values.podAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
labels:
  {{- with .values.podLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
  {{- include "postern.roleLabels" . | nindent 2 }}
{{- end }}

{{- /* What the pods of both roles have in common; takes {root, role, values}. */ -}}
{{- define "postern.podSpec" -}}
serviceAccountName: postern-{{ .role }}
automountServiceAccountToken: true
enableServiceLinks: false
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  fsGroup: 65532
  seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- /* What the containers of both roles have in common; takes {root, role, values}. */ -}}
{{- define "postern.container" -}}
name: {{ .role }}
image: {{ include "postern.image" (dict "root" .root "image" .root.Values.images.operator) | quote }}
imagePullPolicy: {{ .root.Values.images.operator.pullPolicy }}
args: [{{ .role }}]
env:
  {{- include "postern.environment" .root | nindent 2 }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
terminationMessagePolicy: FallbackToLogsOnError
# Loading takes seconds on a busy node; the other two begin when it has loaded.
startupProbe:
  httpGet: {path: /livez, port: health}
  periodSeconds: 1
  failureThreshold: 60
livenessProbe:
  httpGet: {path: /livez, port: health}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
readinessProbe:
  httpGet: {path: /readyz, port: health}
  periodSeconds: 2
  timeoutSeconds: 2
  failureThreshold: 3
resources:
  {{- toYaml .values.resources | nindent 2 }}
{{- end }}
