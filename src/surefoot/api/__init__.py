"""The REST API: everything a person or a program may ask of a Surefoot, over HTTP.

Each route parses, asks one engine verb, and answers its document; nothing is decided here. `build_api` puts it
together from a `Reception`, which holds the ports and who may come in.
"""

from surefoot.api.application import build_api
from surefoot.api.reception import Reception

__all__ = ["Reception", "build_api"]
