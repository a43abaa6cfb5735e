#!/bin/sh
# Last step of both ways to build the base image; runs as root inside the new file system.
set -eu

# The user that commands run as. Numbers are fixed: the sandbox names the uid, not the name.
groupadd --gid 10001 sandbox
useradd --uid 10001 --gid 10001 --create-home --shell /bin/bash sandbox
mkdir -p /workspace
chown sandbox:sandbox /workspace

# Commands that people type, whatever the distribution calls them.
link() { command -v "$1" >/dev/null 2>&1 || ln -s "$(command -v "$2")" "/usr/local/bin/$1"; }
link python python3
link pytest pytest-3
link coverage python3-coverage

# Nothing in a sandbox reads these.
rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/cache/debconf/*-old /var/log/*
rm -rf /usr/share/doc/* /usr/share/man/* /usr/share/info/* /usr/share/locale/*
