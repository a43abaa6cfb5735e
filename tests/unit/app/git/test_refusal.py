"""What a refused push means, from texts as people report them from GitHub."""

import pytest

from app.git.mirror import BranchTaken, NameInTheWay, PushRefused, push_error
from app.git.refusal import RefusalKind, read_refusal, server_words

BRANCH = "patchwright/issue-1"
HOOK = "pre-receive hook declined"
RULES = "push declined due to repository rule violations"


def output(*said: str, reason: str = RULES) -> str:
    lines = [f"remote: {line}        " for line in said]
    rejected = f"!\tabc:refs/heads/{BRANCH}\t[remote rejected] ({reason})"
    return "\n".join(["To https://x/y.git", rejected, "Done", *lines, "error: failed to push"])


def rules(*violations: str) -> str:
    return output(
        f"error: GH013: Repository rule violations found for refs/heads/{BRANCH}.",
        "Review all repository rules at https://github.com/a/b/rules?ref=refs%2Fheads%2Fx",
        "",
        *violations,
        "",
    )


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (rules("- Commits must have verified signatures.", "  Found 1 violation:"), "signatures"),
        (rules("- This branch must not contain merge commits."), "linear_history"),
        (rules("- Cannot create ref due to creations being restricted."), "creation"),
        (rules("- Commit message must match a given regex pattern: ^[A-Z]+-"), "commit_message"),
        (rules("- Branch name must start with a matching pattern: fix/"), "branch_name"),
        (rules("- Commit author email must match a given regex pattern"), "email"),
        (rules("- Changes must be made through a pull request."), "pull_request"),
        (rules('- Required status check "build" is expected.'), "checks"),
        (rules("- GITHUB PUSH PROTECTION", "File path is restricted", "- a/b.py"), "path"),
        (rules("- Something that GitHub invents tomorrow."), "rule"),
        (
            output(
                "error: Trace: 4d8e",
                "error: File a.bin is 117.80 MB; this exceeds GitHub's file size limit of 100 MB",
                "error: GH001: Large files detected.",
                reason=HOOK,
            ),
            "file_size",
        ),
        (
            output(
                "error: GH006: Protected branch update failed for refs/heads/x.",
                "error: 6 of 6 required status checks are expected.",
                reason="protected branch hook declined",
            ),
            "checks",
        ),
        (
            output(
                "error: GH006: Protected branch update failed for refs/heads/x.",
                "error: Cannot force-push to a protected branch.",
                reason="protected branch hook declined",
            ),
            "force_push",
        ),
        (output("fatal: pack exceeds maximum allowed size", reason="unpacker error"), "push_size"),
        (
            output(
                reason="refusing to allow a GitHub App to create or update workflow `.github/x.yml`"
                " without `workflows` permission"
            ),
            "workflows",
        ),
        ("fatal: something else", "rule"),
        ("", "rule"),
    ],
)
def test_the_kind_of_rule_is_recognised(said: str, kind: RefusalKind) -> None:
    error = push_error(BRANCH, said)
    assert isinstance(error, PushRefused)
    assert error.refusal.kind == kind


def test_a_branch_in_the_way_is_named() -> None:
    name = "patchwright/issue-1"
    said = output(
        reason=f"cannot lock ref 'refs/heads/{name}': 'refs/heads/patchwright' exists; "
        f"cannot create 'refs/heads/{name}'"
    )
    error = push_error(name, said)
    assert isinstance(error, NameInTheWay)
    assert str(error) == f"The branch patchwright makes a branch {name} impossible."


def test_a_moved_branch_is_taken_and_not_in_the_way() -> None:
    error = push_error("b", output(reason="cannot lock ref 'refs/heads/b': is at 1 but expected 2"))
    assert type(error) is BranchTaken


def test_what_the_server_says_does_not_make_a_branch_taken() -> None:
    assert isinstance(
        push_error("b", rules("- This tag already exists, fetch first.")), PushRefused
    )


def test_secrets_are_found_with_their_places() -> None:
    refusal = read_refusal(
        rules(
            "- GITHUB PUSH PROTECTION",
            "    Resolve the following violations before pushing again",
            "    - Push cannot contain secrets",
            "      —— GitHub Personal Access Token ———",
            "       locations:",
            "         - commit: 5477a7dd26384ed3c8b3814ee677f755ad27a597",
            "           path: src/api/github.ts:34",
        )
    )
    assert refusal.kind == "secret"
    assert refusal.places == (("src/api/github.ts", 34),)


def test_the_servers_words_are_kept_without_marks_progress_and_end() -> None:
    said = (
        "remote: Resolving deltas: 100%\nremote: \nremote: error: No.        \nremote: \nerror: x"
    )
    assert server_words(said) == ("error: No.",)
    long = "\n".join(f"remote: {n} {'x' * 1000}" for n in range(1000))
    assert len("".join(server_words(long))) < 15_000
