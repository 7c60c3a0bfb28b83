"""``python -m groupchat``."""

from groupchat.cli import main

main(prog_name="python -m groupchat")
