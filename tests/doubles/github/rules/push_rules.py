"""Rules about pushes: a pre-receive hook that refuses in GitHub's words.

Run by git in the bare repository as a program of its own, so with the standard library alone. What
rules there are is in the repository's `rules.json`. The rules are those of GitHub's page "Available
rules for rulesets", the sentences those that people report: GH013 (yshavit/mdq#255,
github/gh-aw#29301, palxiao/poster-design#140), GH006 (kubeflow/pipelines#4384,
supportpal/github-gh-cli#47), GH001 (git-lfs/git-lfs#6330). Git says "pre-receive hook declined"
where GitHub says "push declined due to repository rule violations": no hook can change that.
"""

import fnmatch
import json
import re
import subprocess
import sys
from pathlib import Path

ZERO = "0" * 40
Rule = dict[str, str]


def install(bare: Path, rules: list[Rule]) -> None:
    """Let these rules hold for pushes to a bare repository; none: every push is taken."""
    hook = bare / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    (bare / "rules.json").write_text(json.dumps(rules))
    # Apart from the machine's site packages: it starts in 20 ms.
    hook.write_text(f"#!/bin/sh\nexec {sys.executable} -ISE {Path(__file__).resolve()}\n")
    hook.chmod(0o755)


def against(bare: Path, old: str, new: str, ref: str) -> str:
    """What the rules say against a change that is made by the API and no push; empty: nothing.

    Run as the hook is, in the repository.
    """
    if not (bare / "rules.json").exists():
        return ""
    program = (sys.executable, "-ISE", str(Path(__file__).resolve()))
    done = subprocess.run(
        program, input=f"{old} {new} {ref}\n".encode(), cwd=bare, capture_output=True, check=False
    )
    said = done.stderr.decode("utf-8", "replace").splitlines()
    kept = [line for line in said if line and not line.startswith(("error: GH013", "Review all"))]
    return "\n".join(line.removeprefix("- ") for line in kept) if done.returncode else ""


def rules_for(bare: Path, branch: str) -> list[Rule]:
    """The rules that hold for a branch, as they were installed."""
    if not (bare / "rules.json").exists():
        return []
    rules: list[Rule] = json.loads((bare / "rules.json").read_text())
    return [rule for rule in rules if fnmatch.fnmatch(branch, rule.get("on", "*"))]


def violations(rules: list[Rule], old: str, new: str, ref: str) -> list[str]:
    """What the rules of a ruleset say against this change of a ref, line by line."""
    branch, said = ref.removeprefix("refs/heads/"), []
    for rule in rules:
        if fnmatch.fnmatch(branch, rule.get("on", "*")):
            found = _RULES[rule["kind"]](rule, old, new, branch)
            said += [f"{'  ' if n else '- '}{line}" for n, line in enumerate(found)]
    return said


def _commits(new: str) -> list[str]:
    return _git("rev-list", new, "--not", "--all").split()


def verified_in(bare: Path, commit: str) -> bool:
    """As `is_verified`, from elsewhere."""
    program = (sys.executable, "-ISE", str(Path(__file__).resolve()), commit)
    return subprocess.run(program, cwd=bare, capture_output=True, check=False).returncode == 0


def is_verified(commit: str) -> bool:
    """Whether a commit has a signature of its committer's: of a key that is registered for that
    address, or GitHub's own."""
    if "\ngpgsig " not in _git("cat-file", "commit", commit):
        return False
    known = Path("allowed_signers")
    settings = ("-c", "gpg.format=ssh", "-c", f"gpg.ssh.allowedSignersFile={known.absolute()}")
    asked = ("log", "-1", "--format=%G?%x00%GS%x00%ce", commit)
    state, signer, committer = _git(*settings, *asked).strip().split("\0")
    return state == "G" and signer == committer


def _signatures(_: Rule, _old: str, new: str, _branch: str) -> list[str]:
    bare = [c for c in _commits(new) if not is_verified(c)]
    count = f"  Found {len(bare)} violation{'s' if len(bare) > 1 else ''}:"
    return ["Commits must have verified signatures.", count, *bare] if bare else []


def _linear(_: Rule, _old: str, new: str, _branch: str) -> list[str]:
    merges = _git("rev-list", "--merges", new, "--not", "--all").split()
    return ["This branch must not contain merge commits."] if merges else []


def _creation(_: Rule, old: str, _new: str, _branch: str) -> list[str]:
    return ["Cannot create ref due to creations being restricted."] if old == ZERO else []


def _checks(rule: Rule, _old: str, _new: str, _branch: str) -> list[str]:
    return [f'Required status check "{rule.get("check", "build")}" is expected.']


def _pull_request(_: Rule, _old: str, _new: str, _branch: str) -> list[str]:
    return ["Changes must be made through a pull request."]


def _message(rule: Rule, _old: str, new: str, _branch: str) -> list[str]:
    pattern = rule["pattern"]
    wrong = [
        c for c in _commits(new) if not re.search(pattern, _git("log", "-1", "--format=%B", c))
    ]
    said = ["Commit message must match a given regex pattern:", pattern]
    return said if wrong else []


def _email(rule: Rule, _old: str, new: str, _branch: str) -> list[str]:
    wrong = [
        c for c in _commits(new) if rule["pattern"] not in _git("log", "-1", "--format=%ae", c)
    ]
    return ["Commit author email must match a given pattern"] if wrong else []


def _name(rule: Rule, _old: str, _new: str, branch: str) -> list[str]:
    pattern = rule["pattern"]
    said = [f"Branch name must match a given regex pattern: {pattern}"]
    return [] if re.search(pattern, branch) else said


def _path(rule: Rule, _old: str, new: str, _branch: str) -> list[str]:
    found = [p for p in _changed(new) if fnmatch.fnmatch(p, rule["pattern"])]
    return ["GITHUB PUSH PROTECTION", "File path is restricted", *found] if found else []


def _secret(rule: Rule, _old: str, new: str, _branch: str) -> list[str]:
    places = [
        place
        for path in _changed(new)
        for place in _lines_with(rule["pattern"], path, _git("show", f"{new}:{path}"))
    ]
    if not places:
        return []
    found = [
        line for place in places for line in (f"     - commit: {new}", f"       path: {place}")
    ]
    return [
        "GITHUB PUSH PROTECTION",
        "  Resolve the following violations before pushing again",
        "  - Push cannot contain secrets",
        "   (?) Learn how to resolve a blocked push",
        "   —— GitHub Personal Access Token ——————",
        "     locations:",
        *found,
    ]


def _lines_with(pattern: str, path: str, text: str) -> list[str]:
    lines = text.split("\n")
    return [f"{path}:{n}" for n, line in enumerate(lines, 1) if re.search(pattern, line)]


def _anything(rule: Rule, _old: str, _new: str, _branch: str) -> list[str]:
    return rule["says"].split("\n")


_RULES = {
    "signatures": _signatures,
    "linear_history": _linear,
    "creation": _creation,
    "checks": _checks,
    "pull_request": _pull_request,
    "commit_message": _message,
    "email": _email,
    "branch_name": _name,
    "path": _path,
    "secret": _secret,
    "anything": _anything,
}


def _protection(rule: Rule, ref: str) -> list[str]:
    """A branch protection rule, GitHub's older kind."""
    said = rule.get("says", "Changes must be made through a pull request.")
    return [f"error: GH006: Protected branch update failed for {ref}.", f"error: {said}"]


def _too_large(rule: Rule, new: str) -> list[str]:
    for path in _changed(new):
        size = int(_git("cat-file", "-s", f"{new}:{path}"))
        if size > int(rule["bytes"]):
            return [
                "error: Trace: 654c8d72f32f9965c4734092a2fb75d32fe2a39f6d10881c1465db48addc3ea4",
                "error: See https://gh.io/lfs for more information.",
                f"error: File {path} is {size / 1e6:.2f} MB; this exceeds GitHub's file size limit "
                "of 100.00 MB",
                "error: GH001: Large files detected. You may want to try Git Large File Storage - "
                "https://git-lfs.github.com.",
            ]
    return []


def _changed(new: str) -> list[str]:
    listed = _git("diff-tree", "-r", "--name-only", "--no-commit-id", "--diff-filter=d", new)
    return listed.splitlines()


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], capture_output=True, check=True)
    return done.stdout.decode("utf-8", "replace")


def main() -> int:
    """The hook: refuse the whole push if a rule is against one of its refs."""
    if len(sys.argv) > 1:
        return 0 if is_verified(sys.argv[1]) else 1
    rules: list[Rule] = json.loads(Path("rules.json").read_text())
    refused = False
    for line in sys.stdin:
        old, new, ref = line.split()
        if new == ZERO or not ref.startswith("refs/heads/"):
            continue
        said = []
        for rule in rules:
            on = fnmatch.fnmatch(ref.removeprefix("refs/heads/"), rule.get("on", "*"))
            if rule["kind"] == "protection" and on:
                said += _protection(rule, ref)
            elif rule["kind"] == "protected_signatures" and on:
                said += _protection(rule, ref) if _signatures(rule, old, new, "") else []
            elif rule["kind"] == "file_size" and on:
                said += _too_large(rule, new)
        own = ("protection", "protected_signatures", "file_size")
        against = violations([r for r in rules if r["kind"] not in own], old, new, ref)
        if against:
            said += [f"error: GH013: Repository rule violations found for {ref}."]
            said += [f"Review all repository rules at http://github.example/rules?ref={ref}", ""]
            said += [*against, ""]
        print("\n".join(said), file=sys.stderr)
        refused = refused or bool(said)
    return 1 if refused else 0


if __name__ == "__main__":
    sys.exit(main())
