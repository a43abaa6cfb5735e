"""The image of `deploy/Dockerfile`, and stand-ins for those that a registry would bring."""

from __future__ import annotations

import os
import shutil
import subprocess
import uuid
from pathlib import Path

from sandbox.images.base_image import BASE_IMAGE
from tests.deploy.figures import DEPLOY
from tests.deploy.programs import caddy, prometheus

NAME = f"patchwright-check-{uuid.uuid4().hex[:8]}"
POSTGRES = """\
#!/bin/sh
# What the image of that name does with these variables, in short.
set -eu
password="$(cat "$POSTGRES_PASSWORD_FILE")"
bin="$(echo /usr/lib/postgresql/*/bin)"
cd /
as() { setpriv --reuid postgres --regid postgres --clear-groups "$@"; }
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    chown postgres:postgres "$PGDATA"
    printf '%s\\n' "$password" > /tmp/pw
    chown postgres:postgres /tmp/pw
    as "$bin/initdb" -D "$PGDATA" -U "$POSTGRES_USER" -A scram-sha-256 $POSTGRES_INITDB_ARGS \\
        --pwfile=/tmp/pw
    rm /tmp/pw
    echo "host all all all scram-sha-256" >> "$PGDATA/pg_hba.conf"
    as "$bin/pg_ctl" -D "$PGDATA" -o "-c listen_addresses=" -w start
    PGPASSWORD="$password" as "$bin/createdb" -U "$POSTGRES_USER" "$POSTGRES_DB"
    as "$bin/pg_ctl" -D "$PGDATA" -w stop
fi
exec setpriv --reuid postgres --regid postgres --clear-groups \\
    "$bin/postgres" -D "$PGDATA" -c listen_addresses='*'
"""


def docker(*words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """The docker command; its whole story when it fails."""
    done = subprocess.run(["docker", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0 or not check, done.stdout[-3000:] + done.stderr[-3000:]
    return done


def build_base(folder: Path) -> str:
    """The sandboxes' base, but it trusts whom this machine trusts."""
    bundle = Path(os.environ.get("SSL_CERT_FILE", "/etc/ssl/certs/ca-certificates.crt"))
    (folder / "ca.crt").write_bytes(bundle.read_bytes())
    return _built(
        folder,
        "base",
        f"FROM {BASE_IMAGE}\nUSER root\nCOPY ca.crt /etc/ssl/certs/ca-certificates.crt\n"
        "ENV PIP_CERT=/etc/ssl/certs/ca-certificates.crt\n",
    )


def build_patchwright(base: str) -> str:
    """As `deploy/Dockerfile` says."""
    made = f"{NAME}:made"
    docker(
        "build", "--network", "host", "--build-arg", f"BASE={base}", "--tag", made,
        "--file", str(DEPLOY / "Dockerfile"), str(DEPLOY.parent),
    )  # fmt: skip
    return made


def build_others(base: str, folder: Path) -> dict[str, str]:
    """Images by the composition's variables: the real programs, from packages."""
    shutil.copy(caddy(), folder / "caddy")
    shutil.copy(prometheus() / "prometheus", folder / "prometheus")
    (folder / "postgres.sh").write_text(POSTGRES)
    return {
        "CADDY_IMAGE": _built(
            folder,
            "caddy",
            f"FROM {base}\nCOPY caddy /usr/bin/caddy\n"
            "ENV XDG_DATA_HOME=/data XDG_CONFIG_HOME=/config\n"
            'CMD ["caddy", "run", "--config", "/etc/caddy/Caddyfile", "--adapter", "caddyfile"]\n',
        ),
        "PROMETHEUS_IMAGE": _built(
            folder,
            "prometheus",
            f"FROM {base}\nCOPY prometheus /usr/bin/prometheus\n"
            "RUN install -d -o nobody -g nogroup /prometheus\nUSER nobody\nWORKDIR /prometheus\n"
            'CMD ["prometheus", "--config.file=/etc/prometheus/prometheus.yml", '
            '"--storage.tsdb.path=/prometheus"]\n',
        ),
        "POSTGRES_IMAGE": _built(
            folder,
            "postgres",
            f"FROM {base}\nRUN apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y "
            "--no-install-recommends postgresql && rm -rf /var/lib/apt/lists/*\n"
            "COPY postgres.sh /postgres.sh\nENV PGDATA=/var/lib/postgresql/data\n"
            "STOPSIGNAL SIGINT\n"
            'CMD ["sh", "/postgres.sh"]\n',
        ),
    }


def remove_all() -> None:
    """Images and build steps of this run."""
    # By their names: one that others stand on cannot go by its id.
    found = docker("images", "--format", "{{.Repository}}:{{.Tag}}", NAME).stdout.split()
    if found:
        docker("rmi", "--force", *found, check=False)


def _built(folder: Path, tag: str, recipe: str) -> str:
    (folder / f"Dockerfile.{tag}").write_text(recipe)
    made = f"{NAME}:{tag}"
    docker(
        "build", "--network", "host", "--quiet", "--tag", made,
        "--file", str(folder / f"Dockerfile.{tag}"), str(folder),
    )  # fmt: skip
    return made
