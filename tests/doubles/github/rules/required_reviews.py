"""What the rules of a branch ask of a pull request before it is merged, in GitHub's words.

Rules of rulesets and of branch protection refuse alike but for the first line. The sentences are
those that people report: Reviewable/Reviewable#561 (approvals), strands-labs/robots#1905 and
kellylford/QuickMail#364 (the last push); "About protected branches" and "Available rules for
rulesets" say what counts.
"""

from tests.doubles.github import repository as git
from tests.doubles.github.operations.operation import at_least
from tests.doubles.github.rules import push_rules
from tests.doubles.github.state import Issue, Json, Pull, Repo, Review, User

PARAMETERS: dict[str, str] = {
    "dismiss_stale_reviews_on_push": "dismiss_stale",
    "require_code_owner_review": "code_owners",
    "require_last_push_approval": "last_push",
    "required_review_thread_resolution": "threads",
}
"""GitHub's names of what such a rule may ask for, with the stand-in's."""
_ASKING = ("pull_request", "protection")


def parameters(rule: push_rules.Rule) -> Json:
    """The parameters of a ruleset's rule `pull_request`, as `rules/branches` answers them."""
    asked: Json = {name: bool(rule.get(own)) for name, own in PARAMETERS.items()}
    return asked | {"required_approving_review_count": int(rule.get("approvals", 0))}


def refusal(repo: Repo, item: Issue) -> str:
    """Why a pull request cannot be merged yet; empty: nothing is missing."""
    assert item.pull is not None
    rules = push_rules.rules_for(repo.git, item.pull.base_ref)
    by_protection = [line for rule in rules for line in _unmet(repo, item.pull, rule, "protection")]
    if by_protection:
        return by_protection[0]
    by_rulesets = [line for rule in rules for line in _unmet(repo, item.pull, rule, "pull_request")]
    by_rulesets += _of_other_rules(repo, item.pull, rules)
    told = "".join(f"{line}\n\n" for line in dict.fromkeys(by_rulesets))
    return f"Repository rule violations found\n\n{told}" if told else ""


def dismiss_stale(repo: Repo, pull: Pull) -> None:
    """After a push: approvals count no longer, where a rule says so."""
    for rule in push_rules.rules_for(repo.git, pull.base_ref):
        if rule["kind"] in _ASKING and rule.get("dismiss_stale"):
            for review in pull.reviews:
                if review.state == "APPROVED":
                    review.state = "DISMISSED"


def _unmet(repo: Repo, pull: Pull, rule: push_rules.Rule, kind: str) -> list[str]:
    if rule["kind"] != kind:
        return []
    approvals, wanted = _approvals(repo, pull), int(rule.get("approvals", 0))
    said = []
    if len(approvals) < wanted:
        count = "1 approving review is" if wanted == 1 else f"{wanted} approving reviews are"
        said.append(f"At least {count} required by reviewers with write access.")
    owner = rule.get("code_owners")
    if owner and owner not in {review.user.login for review in approvals}:
        said.append(f"Waiting on code owner review from {owner}.")
    if rule.get("last_push") and not any(
        review.commit_id == pull.head_sha and review.user.login != pull.pushed_by
        for review in approvals
    ):
        said.append("New changes require approval from someone other than the last pusher.")
    threads = {said.id for said in pull.review_comments if said.in_reply_to is None}
    if rule.get("threads") and threads - pull.resolved_threads:
        said.append("A conversation must be resolved before this pull request can be merged.")
    return said


def _approvals(repo: Repo, pull: Pull) -> list[Review]:
    """Each reviewer's last word, where it is an approval and counts: the author's never does."""
    last: dict[str, Review] = {}
    for review in pull.reviews:
        if review.state in ("APPROVED", "CHANGES_REQUESTED", "DISMISSED"):
            last[review.user.login] = review
    return [
        review
        for review in last.values()
        if review.state == "APPROVED" and _counts(repo, review.user)
    ]


def _counts(repo: Repo, who: User) -> bool:
    return at_least(repo.role_of(who), "write")


def _of_other_rules(repo: Repo, pull: Pull, rules: list[push_rules.Rule]) -> list[str]:
    said = []
    for rule in rules:
        name = rule.get("check", "build")
        passed = any(
            run.name == name and run.head_sha == pull.head_sha and run.conclusion == "success"
            for run in repo.check_runs.values()
        )
        if rule["kind"] == "checks" and not passed:
            said.append(f'Required status check "{name}" is expected.')
        if rule["kind"] == "signatures":
            commits = git.commits_between(repo.git, pull.base_sha, pull.head_sha)
            if not all(push_rules.verified_in(repo.git, sha) for sha in commits):
                said.append("Commits must have verified signatures.")
    return said
