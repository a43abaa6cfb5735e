"""npm itself in a set-up: from the registry, in one archive.

Debian's npm brings about 380 packages, whose installation takes minutes, and opens a connection for
every request through a proxy: npm 9 installed 71 packages in 24 and 26 s, npm 10 in 7 and 8 s.
Which npm runs with which Node: the field `engines` of npm's releases.
"""

from __future__ import annotations

from dataclasses import replace

from sandbox.environment.records import PREFIX, Step, apt

TOOLS = f"{PREFIX}/node"
FOUND = f"export PATH={TOOLS}/bin:$PATH; "
"""Before a step's command: the npm that an earlier step brought is found."""
QUIET = "--no-audit --no-fund --loglevel=error --cache /tmp/npm"

_FETCH = f"""\
import base64, hashlib, io, json, os, subprocess, tarfile, urllib.request
node = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout
node = tuple(map(int, node.strip().lstrip("v").split(".")))
major = 10 if node >= (20, 5) or (18, 17) <= node < (19,) else 8 if node >= (16,) else 6
registry = os.environ.get("npm_config_registry", "https://registry.npmjs.org").rstrip("/")
short = {{"Accept": "application/vnd.npm.install-v1+json"}}
with urllib.request.urlopen(urllib.request.Request(registry + "/npm", headers=short)) as answer:
    known = json.load(answer)["versions"]
plain = [v for v in known if v.replace(".", "").isdigit() and v.split(".")[0] == str(major)]
release = known[max(plain, key=lambda v: tuple(map(int, v.split("."))))]["dist"]
with urllib.request.urlopen(release["tarball"]) as answer:
    archive = answer.read()
kind, _, told = release["integrity"].partition("-")
if base64.b64encode(hashlib.new(kind, archive).digest()).decode() != told:
    raise SystemExit("The registry's npm is not what the registry says it is")
home = "{TOOLS}/lib/node_modules/npm"
with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
    for member in tar:
        member.name = member.name.partition("/")[2]
        if member.isfile() and ".." not in member.name.split("/"):
            tar.extract(member, home, set_attrs=False)
os.makedirs("{TOOLS}/bin", exist_ok=True)
for name in ("npm", "npx"):
    script = home + "/bin/" + name + "-cli.js"
    os.chmod(script, 0o755)
    os.symlink(script, "{TOOLS}/bin/" + name)
"""

REGISTRYS_NPM = Step(
    "command -v npm >/dev/null || ! command -v python3 >/dev/null || "
    f"python3 - <<'END' || true\n{_FETCH}END",
    shared=True,
)
"""Does what the distribution's would do, only sooner."""
_DISTRIBUTIONS_NPM = apt(("npm",), unless="npm")
NODE_AND_NPM = (
    apt(("nodejs",), unless="node"),
    REGISTRYS_NPM,
    replace(_DISTRIBUTIONS_NPM, command=FOUND + _DISTRIBUTIONS_NPM.command),
)
"""Steps that bring what is missing: the distribution's Node; the registry's npm, or where that
fails the distribution's."""
