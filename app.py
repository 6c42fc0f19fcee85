"""The web app: python app.py."""

from sigstyle.ui.serve import arguments, logins, main, start

__all__ = ["arguments", "logins", "main", "start"]

if __name__ == "__main__":
    main()
