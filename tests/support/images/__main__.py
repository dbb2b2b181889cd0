"""Builds an image from the command line and prints its archive."""

import argparse
import sys
from pathlib import Path

from tests.support.images.archives import build
from tests.support.images.errors import SetupError
from tests.support.images.standard import base_image, node_image, uv_image


def main() -> int:
    """The exit code: 0, 1 when the build failed, 2 for a wrong command line."""
    options = _parser().parse_args()
    try:
        print(_archive(options))
    except SetupError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _archive(options: argparse.Namespace) -> Path:
    match options.image:
        case "base":
            return base_image()
        case "uv":
            return uv_image()
        case "node":
            return node_image()
        case _:
            arguments = dict(word.partition("=")[::2] for word in options.build_arg)
            inputs = options.input or [options.context]
            return build(options.tag, options.dockerfile, options.context, arguments, key_inputs=inputs)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python3 -m tests.support.images", description=__doc__)
    images = parser.add_subparsers(dest="image", required=True)
    images.add_parser("base", help="Debian with Python, CA certificates and nft")
    images.add_parser("uv", help="the uv program alone")
    images.add_parser("node", help="the base image with Node.js")
    other = images.add_parser("build", help="any image from its Dockerfile")
    other.add_argument("tag", help="localhost/name:version")
    other.add_argument("dockerfile", type=Path)
    other.add_argument("context", type=Path)
    other.add_argument("--build-arg", action="append", default=[], metavar="NAME=VALUE")
    other.add_argument("--input", action="append", type=Path, help="what the key is made of; default: the context")
    return parser


if __name__ == "__main__":
    sys.exit(main())
