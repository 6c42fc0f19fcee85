"""Starting the web app: its command line, who may come in, and the server. Gradio is imported when it starts."""

import argparse
import logging
import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

LOOPBACK = ("127.0.0.1", "localhost", "::1")


def program() -> str:
    """What the app was started as: app.py, or sigstyle-app where it is installed."""
    return Path(sys.argv[0]).name


def arguments(words: list[str] | None = None) -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description="SigStyle in the browser.")
    host = os.environ.get("GRADIO_SERVER_NAME", LOOPBACK[0])
    parser.add_argument("--host", default=host, help="address to listen on (default: this computer alone)")
    parser.add_argument("--port", type=int, help="port (default: the first free one from 7860)")
    parser.add_argument("--data", type=Path, default=Path("outputs/app"), help="the one folder that files go to")
    parser.add_argument("--base", default="mini", help="'mini', a folder, a .safetensors checkpoint or a hub id")
    parser.add_argument("--device", help="cpu, cuda, cuda:1, mps (default: the fastest there is)")
    parser.add_argument("--auth", type=Path, help="file with a line user:password for everyone who may come in")
    parser.add_argument("--share", action="store_true", help="a public link; only with --auth")
    parser.add_argument("--mcp", action="store_true", help="serve the API as MCP tools too")
    return parser.parse_args(words)


def logins(file: Path | None) -> list[tuple[str, str]] | None:
    """Users and passwords from a file. Raises: SystemExit with what is wrong with it."""
    if file is None:
        return None
    try:
        lines = [line.strip() for line in file.read_text(encoding="utf-8").splitlines()]
    except OSError as error:
        raise SystemExit(f"{program()}: {file} cannot be read: {error.strerror}.") from error
    pairs = [(user, password) for user, _, password in (line.partition(":") for line in lines if line)]
    if not pairs or not all(user and password for user, password in pairs):
        problem = "has a line without user or password; expected lines such as anna:secret."
        raise SystemExit(f"{program()}: {file} {problem}")
    return pairs


def start(options: argparse.Namespace, **launch: Any) -> Any:
    """Builds the page and serves it; the gr.Blocks. Raises: SigStyleError."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    from sigstyle.base.devices import device_and_dtype
    from sigstyle.studio.studio import Studio

    auth = logins(options.auth)
    alone = options.host in LOOPBACK and not options.share
    device, _ = device_and_dtype(options.device, None)
    studio = Studio(options.data, options.base, device, may_download=alone or auth is not None)
    os.environ["GRADIO_TEMP_DIR"] = str(studio.folder.folder("cache"))
    studio.warm_up()
    from sigstyle.ui import page

    return page.launch(
        page.build(studio),
        server_name=options.host,
        server_port=options.port,
        share=options.share,
        auth=auth,
        mcp_server=options.mcp,
        **launch,
    )


def main(words: list[str] | None = None) -> None:
    """Runs the app until Ctrl-C."""
    from sigstyle.errors import SigStyleError

    logging.basicConfig(level=logging.WARNING)
    options = arguments(words)
    if options.share and options.auth is None:
        sys.exit(f"{program()}: --share makes the app public; expected --auth FILE with a line user:password with it.")
    if find_spec("gradio") is None:
        sys.exit(f"{program()}: the web app needs Gradio, which is not installed. Run pip install 'sigstyle[app]'.")
    try:
        start(options)
    except SigStyleError as error:
        sys.exit(f"{program()}: {error}")
