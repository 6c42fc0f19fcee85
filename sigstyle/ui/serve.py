"""Starting the web app: its command line, who may come in, and the server. Gradio is imported when it starts."""

import argparse
import errno
import logging
import os
import socket
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from sigstyle.base.devices import MEMORY
from sigstyle.cli.console import show_anything
from sigstyle.text import shown

LOOPBACK = ("127.0.0.1", "localhost", "::1")
SHORTEST_PASSWORD = 16
_OTHERS_GB, _OTHERS_DAYS = 2.0, 30.0  # what others may keep here, unless told; whoever is alone keeps what they like


def program() -> str:
    """What the app was started as: app.py, or sigstyle-app where it is installed."""
    return Path(sys.argv[0]).name


def arguments(words: list[str] | None = None) -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description="SigStyle in the browser.")
    host = os.environ.get("GRADIO_SERVER_NAME", LOOPBACK[0])
    parser.add_argument("--host", default=host, help="address to listen on (default: this computer alone)")
    parser.add_argument("--port", type=_port, help="port (default: the first free one from 7860)")
    named = "a further name this app is reached by, such as a proxy's or *.example.org; repeatable"
    parser.add_argument("--allow-host", action="append", default=[], metavar="NAME", help=named)
    parser.add_argument("--data", type=Path, default=Path("outputs/app"), help="the one folder that files go to")
    parser.add_argument("--base", default="mini", help="'mini', a folder, a .safetensors checkpoint or a hub id")
    parser.add_argument("--device", help="cpu, cuda, cuda:1, mps (default: the fastest there is)")
    memory = "low keeps as little as possible on the device at once, for cards of 8 GB and less; auto does so where "
    memory += "the card's free memory is short; high never (default: auto)"
    parser.add_argument("--memory", choices=MEMORY, default="auto", help=memory)
    passwords = f"file with a line user:password for everyone who may come in; {SHORTEST_PASSWORD} characters or more"
    parser.add_argument("--auth", type=Path, help=passwords)
    quota = f"how much one person may keep (default: {_OTHERS_GB:g} where others can come in, else no limit)"
    parser.add_argument("--quota-gb", type=float, metavar="GB", help=quota)
    kept = f"days after which what nobody used goes (default: {_OTHERS_DAYS:g} where others can come in, else never)"
    parser.add_argument("--keep-days", type=float, metavar="DAYS", help=kept)
    parser.add_argument("--share", action="store_true", help="a public link; only with --auth")
    parser.add_argument("--mcp", action="store_true", help="serve the API as MCP tools too")
    return parser.parse_args(words)


def _port(text: str) -> int:
    """A port that can be listened on. Raises: ArgumentTypeError."""
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port; expected a number from 1 to 65535")
    return int(text)


def refused(text: str) -> SystemExit:
    """Says in one line why the app does not start; raise what comes back: it ends with exit code 2."""
    line = f"{program()}: {shown(' '.join(text.split()))}"
    print(line, file=sys.stderr, flush=True)
    leaving = SystemExit(line)
    leaving.code = 2
    return leaving


def logins(file: Path | None) -> list[tuple[str, str]] | None:
    """Users and passwords from a file. Raises: SystemExit with what is wrong with it."""
    if file is None:
        return None
    try:
        lines = [line.strip() for line in file.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise refused(f"{file} cannot be read: {why}.") from error
    pairs = [(user, password) for user, _, password in (line.partition(":") for line in lines if line)]
    if not pairs or not all(user and password for user, password in pairs):
        raise refused(f"{file} has a line without user or password; expected lines such as anna:a-long-secret-of-hers.")
    short = [user for user, password in pairs if len(password) < SHORTEST_PASSWORD]
    if short:
        raise refused(
            f"{file} has a password of fewer than {SHORTEST_PASSWORD} characters for {', '.join(short)}; expected "
            "longer ones, such as four words in a row."
        )
    return pairs


def check_port(host: str, port: int | None) -> None:
    """Raises: SystemExit when `port` is given and cannot be listened on: asked before the base is loaded."""
    if port is None:
        return
    address = host.strip("[]")
    try:
        family, kind, proto, _, place = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, proto) as probe:
            if os.name == "posix":  # elsewhere the option lets two programs share a port
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(place)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise refused(f"port {port} is taken on {host}; choose another with --port.") from error
        raise refused(f"{host}, port {port}, cannot be used: {error.strerror}; choose --host and --port.") from error


def hosts_of(options: argparse.Namespace) -> list[str]:
    """The names this app answers to; plain addresses are always answered."""
    space = os.environ.get("SPACE_HOST")
    named = [options.host.strip("[]"), "localhost", *options.allow_host, *([space] if space else [])]
    return [*named, "*.gradio.live"] if options.share else named


def keeping_of(options: argparse.Namespace, alone: bool) -> Any:
    """How much of a person is kept, and how long. Raises: SystemExit for what is not above 0."""
    from sigstyle.studio.keeping import Keeping

    usual = (None, None) if alone else (_OTHERS_GB, _OTHERS_DAYS)
    gb, days = (value if value is not None else other for value, other in zip(_kept(options), usual, strict=True))
    return Keeping(None if gb is None else round(gb * 1e9), days)


def _kept(options: argparse.Namespace) -> tuple[float | None, float | None]:
    for flag, value in (("--quota-gb", options.quota_gb), ("--keep-days", options.keep_days)):
        if value is not None and not 0 < value < float("inf"):
            raise refused(f"{flag} is {value:g}; expected a number above 0.")
    return options.quota_gb, options.keep_days


def start(options: argparse.Namespace, **launch: Any) -> Any:
    """Builds the page and serves it; the gr.Blocks. Raises: SigStyleError; SystemExit for flags that do not go."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    auth = logins(options.auth)
    check_port(options.host, options.port)
    from sigstyle.base.devices import device_and_dtype
    from sigstyle.studio.studio import Studio

    alone = options.host in LOOPBACK and not options.share
    device, _ = device_and_dtype(options.device, None)
    downloads = alone or auth is not None
    own = alone and auth is None and not options.allow_host  # nobody but whoever started it can be meant
    studio = Studio(
        options.data, options.base, device, downloads, keeping=keeping_of(options, own), memory=options.memory
    )
    cache = studio.folder.folder("cache")
    os.environ["GRADIO_TEMP_DIR"] = str(cache)
    studio.warm_up()
    from sigstyle.ui import page
    from sigstyle.ui.gate import middleware

    try:
        return page.launch(
            page.build(studio),
            server_name=options.host,
            server_port=options.port,
            share=options.share,
            auth=auth,
            mcp_server=options.mcp,
            app_kwargs={"middleware": middleware(hosts_of(options), cache)},
            **launch,
        )
    except OSError as error:
        if "empty port" not in str(error):
            raise
        taken = f"port {options.port} is taken" if options.port else "no port from 7860 to 7959 is free"
        raise refused(f"{taken} on {options.host}; choose another with --port.") from error


def main(words: list[str] | None = None) -> None:
    """Runs the app until Ctrl-C."""
    from sigstyle.errors import SigStyleError

    show_anything()
    logging.basicConfig(level=logging.WARNING)
    options = arguments(words)
    if options.share and options.auth is None:
        raise refused("--share makes the app public; expected --auth FILE with a line user:password with it.")
    if find_spec("gradio") is None:
        raise refused("the web app needs Gradio, which is not installed. Run pip install 'sigstyle[app]'.")
    try:
        start(options)
    except SigStyleError as error:
        raise refused(str(error)) from error
