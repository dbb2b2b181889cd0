{{- /* Labels of every object. */ -}}
{{- define "postern.labels" -}}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version | replace "+" "_" }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: postern
{{- end }}

{{- /* Labels of one role's objects; takes {root, role}. */ -}}
{{- define "postern.roleLabels" -}}
{{ include "postern.labels" .root }}
{{ include "postern.selector" . }}
{{- end }}

{{- /* Labels that select one role's pods; takes {role}. Never change them: a Deployment's selector is immutable. */ -}}
{{- define "postern.selector" -}}
app.kubernetes.io/name: postern
app.kubernetes.io/component: {{ .role }}
{{- end }}

{{- /* Name of an image; takes {root, image}. */ -}}
{{- define "postern.image" -}}
{{- if .image.digest -}}
{{ .image.repository }}@{{ .image.digest }}
{{- else -}}
{{ .image.repository }}:{{ .image.tag | default .root.Chart.AppVersion }}
{{- end -}}
{{- end }}

{{- /* Secret with the webhook's certificate. */ -}}
{{- define "postern.certificateSecret" -}}
{{- if eq .Values.certificates.mode "provided" -}}
{{ .Values.certificates.provided.secretName }}
{{- else -}}
postern-webhook-certificate
{{- end -}}
{{- end }}
