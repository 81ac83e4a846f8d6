"""Models on Hugging Face: `pull` one into the registry, `publish` one, and see what the public sees (`published`)."""

from streetvision.hub.client import Hub
from streetvision.hub.files import RepoRef, parse_ref
from streetvision.hub.public_view import CardFinding, Published, published
from streetvision.hub.publish import PublishPlan, publish
from streetvision.hub.pull import Fetched, fetch, pull

__all__ = [
    "CardFinding",
    "Fetched",
    "Hub",
    "PublishPlan",
    "Published",
    "RepoRef",
    "fetch",
    "parse_ref",
    "publish",
    "published",
    "pull",
]
