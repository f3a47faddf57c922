"""The app release that a deployment names."""

from __future__ import annotations

from heartify.chain.deployment import Deployment
from heartify.errors import PolicyError
from heartify.protocol.app_release import AppRelease
from heartify.protocol.canonical import encode_canonical, parse_canonical


def deployed_app_release(deployment: Deployment) -> AppRelease:
    """Return the app release of a deployment.

    Raises:
        PolicyError: it names none.
        DocumentError: what it names is not an app release.
    """
    if deployment.app_release is None:
        raise PolicyError("the deployment names no app release", hint="`heartify deploy` writes one that does")
    return parse_canonical(encode_canonical(deployment.app_release), AppRelease)
