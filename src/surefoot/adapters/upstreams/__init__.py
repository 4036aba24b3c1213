"""Upstreams: what answers an app's requests behind the gateway, over HTTP or in this process."""
