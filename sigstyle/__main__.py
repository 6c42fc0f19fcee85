"""python -m sigstyle"""

from sigstyle.cli.main import app

if __name__ == "__main__":
    app(prog_name="python -m sigstyle")
