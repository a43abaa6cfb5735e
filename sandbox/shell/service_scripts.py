"""The bash functions of the service shell: files, processes and the shadow git.

They run inside the sandbox as the same user as its commands, so what they print is hostile.
They need bash, GNU coreutils, grep, tar and git. Statuses of the file functions are below.
"""

from __future__ import annotations

MISSING = 44
NOT_REGULAR = 45
UNWRITABLE = 46
UNREADABLE = 47
BROKEN = 48

STATE = "/home/.patchwright"
"""Where the shadow git and the service shell's own files live, outside the tree."""

FILES = f"""
pw_read() {{ # PATH MOST
  [ -e "$1" ] || return {MISSING}
  [ -f "$1" ] || return {NOT_REGULAR}
  head -c "$2" -- "$1" 2>/dev/null || return {UNREADABLE}
}}
pw_write() {{ # PATH FOLDER SIZE; the content follows as input and is always read whole
  local status={UNWRITABLE}
  head -c "$3" | {{
    {{ [ -d "$2" ] || mkdir -p -- "$2"; }} &&
      {{ [ ! -e "$1" ] || [ -f "$1" ] || ! status={NOT_REGULAR}; }} &&
      cat >"$1" && exit 0
    cat >/dev/null
    exit "$status"
  }}
}}
pw_unpack() {{ # SIZE; a tar follows as input
  head -c "$1" | {{
    tar -x --no-same-owner -C "$GIT_WORK_TREE" -f - && cat >/dev/null && exit 0
    status=$?; cat >/dev/null; exit $status
  }}
}}
"""

PREPARED_WORKSPACE = "/opt/patchwright/workspace"
PREPARED_HOME = "/opt/patchwright/home"
"""What set-up added to the tree and to the home folder (see `prepare`)."""

# Packages of Node are many and are only read: linked one by one, so that tools can still write
# beside them. Everything else may be rebuilt, so it is copied.
PREPARED = f"""
pw_prepared() {{
  local from={PREPARED_WORKSPACE} name
  [ -d "$HOME" ] || mkdir -p "$HOME"
  if [ -d {PREPARED_HOME} ]; then
    find {PREPARED_HOME} -mindepth 1 -maxdepth 1 -exec ln -s -t "$HOME" {{}} + || return
  fi
  [ -d $from ] || return 0
  (cd $from && find . -name node_modules -prune -print0) | while IFS= read -r -d '' name; do
    mkdir -p "$GIT_WORK_TREE/$name" &&
      find "$from/$name" -mindepth 1 -maxdepth 1 -exec ln -s -t "$GIT_WORK_TREE/$name" {{}} + ||
      return
  done &&
    (cd $from && find . -name node_modules -prune -o ! -type d -print0) |
    tar -C $from --null -T - -cf - | tar -C "$GIT_WORK_TREE" --skip-old-files -xf -
}}
"""

# Only builtins here: these must work when no process can be started any more.
PROCESSES = """
pw_stop() { # SHELL AGE SIGNAL: to the shell's and the orphans' processes younger than AGE ticks
  local shell=$1 age=$2 signal=$3 up since entry line fields pid parent root victims=()
  local -A parents=() begun=()
  read -r up _ </proc/uptime
  since=$((10#${up/./} - age))
  for entry in /proc/[0-9]*; do
    line=
    IFS= read -r -d '' line <"$entry/stat"
    fields=(${line##*) })
    [ -n "$line" ] && [ "${fields[0]}" != Z ] || continue
    pid=${entry#/proc/}
    parents[$pid]=${fields[1]}
    begun[$pid]=${fields[19]}
  done
  for pid in "${!parents[@]}"; do
    [ "$pid" = "$shell" ] || [ "$pid" = 1 ] || [ "$pid" = $$ ] && continue
    root=$pid parent=${parents[$pid]}
    while [ "$parent" != "$shell" ] && [ "$parent" != 1 ] && [ "$parent" != $$ ] &&
      [ -n "${parents[$parent]:-}" ]; do
      root=$parent parent=${parents[$parent]}
    done
    # What the service shell or the engine started is none of the command's.
    [ "$parent" = $$ ] || [ "$parent" = 0 ] && continue
    [ "${begun[$root]}" -ge "$since" ] && victims+=("$pid")
  done
  # The shell first: it must know of the interrupt when it sees its child die of it, and be awake.
  kill -CONT "$shell"
  kill -INT "$shell"
  if [ ${#victims[@]} -gt 0 ]; then
    [ "$signal" = INT ] || kill -STOP "${victims[@]}"
    kill -"$signal" "${victims[@]}"
  fi
  builtin printf '%d' ${#victims[@]} >&4
} 4>&1 2>/dev/null
pw_stop_all() { kill -KILL -1 2>/dev/null; return 0; }
pw_lives() { kill -0 "$1" 2>/dev/null; }
"""

_GIT_CONFIG = r"""[core]
\trepositoryformatversion = 0
\tbare = false
\tfilemode = true
\tsymlinks = true
\tignorecase = false
\tprecomposeunicode = false
\thooksPath = /dev/null
\tattributesFile = /dev/null
\texcludesFile = /dev/null
\tfsmonitor = false
\tautocrlf = false
\tsafecrlf = false
\tquotePath = true
\tprotectNTFS = false
\tprotectHFS = false
\tlooseCompression = 1
[gc]
\tauto = 0
[maintenance]
\tauto = false
[submodule]
\trecurse = false
"""

# These outrank every .gitattributes in the tree: no filter runs and no byte is converted.
_ATTRIBUTES = r"* -text -filter -ident !eol !working-tree-encoding !diff !merge !whitespace\n"

# Caches of tools that belong in no patch, whether or not the repository ignores them.
_EXCLUDES = (
    r"__pycache__/\n*.py[co]\n.pytest_cache/\n.mypy_cache/\n.ruff_cache/\n.hypothesis/\n"
    r".coverage\n.coverage.*\n.tox/\n.nox/\nnode_modules/\n"
)

SHADOW_GIT = f"""
export GIT_DIR={STATE}/shadow.git GIT_WORK_TREE=/workspace GIT_CONFIG_NOSYSTEM=1 \\
  GIT_CONFIG_GLOBAL=/dev/null GIT_ATTR_NOSYSTEM=1 GIT_LITERAL_PATHSPECS=1 LC_ALL=C
umask 022
pw_whole() {{
  # Git would wait for ever for what somebody puts into a pipe, and believe a link's other end.
  [ -d "$GIT_DIR/objects" ] && [ -f "$GIT_DIR/config" ] && [ -f {STATE}/base ] &&
    [ -z "$(find {STATE} -maxdepth 3 ! -type f ! -type d -print -quit)" ] || return {BROKEN}
}}
pw_attributes() {{ printf '{_ATTRIBUTES}' >"$GIT_DIR/info/attributes"; }}
pw_ready() {{ # all that needs no tree: a waiting sandbox has it done
  mkdir -p "$HOME" "$GIT_DIR/info" && git init -q --template= >&2 &&
    printf '{_GIT_CONFIG}' >"$GIT_DIR/config" && printf '{_EXCLUDES}' >"$GIT_DIR/info/exclude" &&
    pw_attributes
}}
pw_init() {{
  pw_index && git write-tree >{STATE}/base &&
    git ls-files -z -c -i --exclude-standard >{STATE}/forced && pw_base
}}
pw_new() {{ # names the files to add, those of nested repositories too, which git would not enter
  local name
  : >{STATE}/nested
  while IFS= read -r -d '' name; do
    case $name in
      */) find "./$name" -name .git -prune -o '(' -type f -o -type l ')' -printf '%P\\0' |
        while IFS= read -r -d '' inner; do printf '%s\\0' "$name$inner"; done ;;
      *) printf '%s\\0' "$name" ;;
    esac
  done <{STATE}/new
}}
pw_index_once() {{
  [ ! -e "$GIT_DIR/index.lock" ] || rm -f "$GIT_DIR/index.lock"
  cd "$GIT_WORK_TREE" && {{ [ ! -e "$GIT_DIR/index" ] || git add -u .; }} &&
    git ls-files -z -o "$@" >{STATE}/new || return
  if [ -s {STATE}/new ] && grep -zq '/$' {STATE}/new; then
    pw_new | git update-index --add --replace -z --stdin || return
  elif [ -s {STATE}/new ]; then
    git update-index --add --replace -z --stdin <{STATE}/new || return
  fi
  if [ -s {STATE}/forced ]; then
    git update-index --add --remove --replace -z --stdin <{STATE}/forced || return
  fi
}}
pw_index() {{
  pw_index_once "$@" 2>/dev/null && return
  # A command may have taken its own right to read something: give it back, and try again.
  find "$GIT_WORK_TREE" '(' -type d ! -perm -u=rwx -o -type f ! -perm -u=rw ')' \\
    -exec chmod u+rwX {{}} ';' >&2
  pw_index_once "$@"
}}
pw_snapshot() {{ pw_whole && pw_index --exclude-standard && git write-tree; }}
pw_restore() {{
  pw_whole || return
  pw_index --exclude-standard && git read-tree --reset -u "$1" || return
  # What is left of a nested repository whose files are gone: its .git alone in its folder.
  [ ! -e {STATE}/nested ] || find "$GIT_WORK_TREE" -mindepth 2 -name .git -prune -print0 |
    while IFS= read -r -d '' name; do
      [ "$(ls -A "${{name%/.git}}")" != .git ] || rm -rf "${{name%/.git}}"
    done
}}
pw_base() {{ local id; read -r id <{STATE}/base && echo "$id"; }}
pw_diff() {{ # FROM TO OPTION...
  git diff-tree -p -r --no-ext-diff --no-textconv --no-color --no-renames --full-index \\
    --src-prefix=a/ --dst-prefix=b/ "${{@:3}}" "$1" "$2"
}}
pw_apply() {{ # SIZE; a patch follows as input
  head -c "$1" >{STATE}/patch
  cd "$GIT_WORK_TREE" && git apply --whitespace=nowarn {STATE}/patch </dev/null
}}
pw_quietly() {{ # COMMAND...: what it says on standard error is shown only when it fails
  "$@" 2>{STATE}/errors && return
  local status=$?
  head -c 4000 {STATE}/errors
  return $status
}}
"""

TOOLS = """
pw_tools() {
  local tool
  for tool in git tar head grep find; do
    command -v $tool >/dev/null || printf ' %s' $tool
  done
  head --version 2>/dev/null | grep -q GNU || printf ' coreutils'
}
"""

PRELUDE = (
    f"umask 022; mkdir -p {STATE}; cd /workspace\n"
    + TOOLS
    + FILES
    + PREPARED
    + PROCESSES
    + SHADOW_GIT
)
