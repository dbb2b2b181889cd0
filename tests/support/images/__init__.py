"""Container images for tests, demo and cluster, built offline with buildah and kept as archives in a cache."""

from tests.support.images.archives import archive_of, build
from tests.support.images.standard import BASE_TAG, NODE_TAG, UV_TAG, base_image, node_image, uv_image

__all__ = ["BASE_TAG", "NODE_TAG", "UV_TAG", "archive_of", "base_image", "build", "node_image", "uv_image"]
