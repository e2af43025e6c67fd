"""The library: what `import connector` gives, in the order of use.

The command line is a thin layer over it.
"""

from connector.library.asking import call, check, open_audiences
from connector.library.exports import export, export_path
from connector.library.loading import lint, load_connection, make_connection
from connector.library.previews import Preview, PreviewedRequest, preview
from connector.library.sending import send
from connector.library.transports import http_transport

__all__ = [
    "Preview",
    "PreviewedRequest",
    "call",
    "check",
    "export",
    "export_path",
    "http_transport",
    "lint",
    "load_connection",
    "make_connection",
    "open_audiences",
    "preview",
    "send",
]
