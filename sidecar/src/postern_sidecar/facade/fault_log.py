"""What a browser is not told of a fault: this module writes it to the log."""

from postern_sidecar.facade.faults import OAuthFault
from postern_sidecar.facade.messages import FacadeRequest
from postern_sidecar.logs import get_logger

__all__ = ["log_fault"]


def log_fault(request: FacadeRequest, fault: OAuthFault) -> None:
    """Write the detail of a fault, if it has one, under the request id that the page shows."""
    if fault.detail:
        get_logger("postern.facade").warning(
            "request refused", request_id=request.request_id, error=fault.error, cause=fault.detail
        )
