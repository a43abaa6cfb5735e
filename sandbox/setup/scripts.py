"""Shell scripts of ours within a set-up: before the repository's own steps, and after. As root."""

from __future__ import annotations

from sandbox.environment.records import PREFIX
from sandbox.protocol import WORKDIR
from sandbox.setup.container import BEFORE
from sandbox.shell.service_scripts import PREPARED_HOME, PREPARED_WORKSPACE
from sandbox.spec import COMMAND_USER, HOME

_UID = COMMAND_USER.partition(":")[0]
_LISTED = "/run/patchwright-files"

# Any image may be a sandbox's when it has these. The user's name is for tools that ask for it.
NEEDED = f"""
set -e
missing=
for tool in git tar grep find; do command -v $tool >/dev/null || missing="$missing $tool"; done
if [ -n "$missing" ]; then
  if command -v apt-get >/dev/null; then
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends git tar grep findutils ca-certificates procps
    rm -rf /var/lib/apt/lists/*
  elif command -v apk >/dev/null; then
    apk add --no-cache git tar grep findutils coreutils procps
  else
    echo "The image lacks what a sandbox needs:$missing. Install it in the image." >&2
    exit 1
  fi
fi
[ ! -d {BEFORE} ] || cp -a {BEFORE}/. {PREFIX}/
grep -q '^[^:]*:[^:]*:{_UID}:' /etc/passwd ||
  echo 'sandbox:x:{_UID}:{_UID}::{HOME}:/bin/bash' >>/etc/passwd
grep -q '^[^:]*:[^:]*:{_UID}:' /etc/group || echo 'sandbox:x:{_UID}:' >>/etc/group
mkdir -p {WORKDIR} {PREPARED_HOME} {HOME}
chown {COMMAND_USER} {WORKDIR} {PREFIX} {PREPARED_HOME} {HOME}
"""

BEGIN = f"""
set -e
tar -x --no-same-owner -C {WORKDIR} -f -
cat >/dev/null
chown -R {COMMAND_USER} {WORKDIR}
cd {WORKDIR}
find . -type d -name node_modules -prune -print0 >{_LISTED}.known
find . ! -type d -print0 | LC_ALL=C sort -z >{_LISTED}
"""

# Folders of packages that set-up made are moved: they hold most of its files. What joins others
# in folders of the tree is copied. Packages that are links into the tree must still lead there from
# where packages are kept.
FINISH = f"""
set -e
cd {WORKDIR}
if [ ! -e {PREPARED_WORKSPACE} ]; then
  find . -name .git -prune -o -type d -name node_modules -prune -print0 | LC_ALL=C sort -z |
    LC_ALL=C comm -z -13 <(LC_ALL=C sort -z {_LISTED}.known) - |
    while IFS= read -r -d '' made; do
      mkdir -p "{PREPARED_WORKSPACE}/${{made%/*}}"
      mv -T -- "$made" "{PREPARED_WORKSPACE}/$made"
    done
  [ ! -e {PREPARED_WORKSPACE} ] || find {PREPARED_WORKSPACE} \
    '(' -name .git -o -name __pycache__ -o -name .pytest_cache ')' -prune -exec rm -rf -- {{}} +
fi
find . -name .git -prune -o -name __pycache__ -prune -o -name .pytest_cache -prune \
  -o ! -type d -print0 | LC_ALL=C sort -z | LC_ALL=C comm -z -13 {_LISTED} - >{_LISTED}.new
if [ -s {_LISTED}.new ]; then
  mkdir -p {PREPARED_WORKSPACE}
  tar --null -T {_LISTED}.new --no-recursion -cf - | tar -C {PREPARED_WORKSPACE} -xpf -
fi
if [ -e {PREPARED_WORKSPACE} ]; then
  cd {PREPARED_WORKSPACE}
  find . -type l -lname '../*' -printf '%P\\0' >{_LISTED}.links
  find . -type l -lname '../*' -printf '{WORKDIR}/%h/%l\\0' |
    xargs -0 -r realpath -mz -- >{_LISTED}.targets
  while IFS= read -r -d '' link <&3 && IFS= read -r -d '' target <&4; do
    case $target in
      */node_modules/*) ;;
      {WORKDIR}/*) ln -sfn -- "$target" "$link" ;;
    esac
  done 3<{_LISTED}.links 4<{_LISTED}.targets
  chown -R -h {COMMAND_USER} {PREPARED_WORKSPACE}
fi
cd /
find {WORKDIR} -mindepth 1 -delete
rm -rf {PREPARED_HOME}/.cache {PREPARED_HOME}/.npm {PREPARED_HOME}/.bash_history
chown {COMMAND_USER} {WORKDIR}
"""
