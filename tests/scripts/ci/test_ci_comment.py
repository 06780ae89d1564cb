"""The comment on a pull request: one for each subject, updated in place, never somebody else's."""

from __future__ import annotations

import pytest

from scripts.ci import comment
from tests.scripts.ci.github import BOT, TOKEN, GitHub


def pull(github: GitHub, token: str = TOKEN) -> comment.PullRequest:
    """Pull request 7."""
    return comment.PullRequest(api=github.api, repository="team/backend", number=7, token=token)


def test_it_is_written_once_and_updated_after_that(github: GitHub) -> None:
    """The tenth push to a pull request leaves one comment, not ten."""
    first = comment.upsert(pull(github), "dev", "one")
    assert comment.upsert(pull(github), "dev", "two") == first
    assert [c["body"] for c in github.comments] == [comment.marker("dev") + "\ntwo"]


def test_the_marker_cannot_be_broken_out_of() -> None:
    """It names the stack, and is one HTML comment whatever the stack is called."""
    assert comment.marker("staging") == "<!-- mlflow-backend preview: staging -->"
    assert comment.marker("a--> b") == "<!-- mlflow-backend preview: a--b -->"


def test_the_same_again_is_not_written(github: GitHub) -> None:
    """Who follows the pull request is not told of a change that is none."""
    comment.upsert(pull(github), "dev", "one")
    github.calls.clear()
    comment.upsert(pull(github), "dev", "one")
    assert [call.split()[0] for call in github.calls] == ["GET"]


def test_each_stack_has_its_own(github: GitHub) -> None:
    """Previews of two stacks run at once and must not overwrite each other, also if one name begins the other."""
    comment.upsert(pull(github), "dev", "one")
    comment.upsert(pull(github), "dev-2", "two")
    comment.upsert(pull(github), "dev", "three")
    assert [c["body"].split("\n")[1] for c in github.comments] == ["three", "two"]


def test_a_comment_of_somebody_else_is_left_alone(github: GitHub) -> None:
    """Anybody may write the marker; only what our own account wrote is ours to change."""
    github.add("dev" + "\nmine", "mallory")
    github.add("quoting " + "dev", BOT)
    comment.upsert(pull(github), "dev", "ours")
    assert [c["user"]["login"] for c in github.comments] == ["mallory", BOT, BOT]
    assert github.comments[0]["body"].endswith("mine")


def test_it_is_found_on_a_later_page(github: GitHub) -> None:
    """A long discussion does not make a second comment."""
    for number in range(comment.PAGE + 30):
        github.add(f"talk {number}", "somebody")
    comment.upsert(pull(github), "dev", "one")
    comment.upsert(pull(github), "dev", "two")
    assert len(github.comments) == comment.PAGE + 31
    assert github.comments[-1]["body"].endswith("two")


def test_exactly_one_page_of_others(github: GitHub) -> None:
    """The last full page is followed by an empty one."""
    for number in range(comment.PAGE):
        github.add(f"talk {number}", "somebody")
    comment.upsert(pull(github), "dev", "one")
    assert len(github.comments) == comment.PAGE + 1


@pytest.mark.parametrize("length", [comment.LONGEST, comment.LONGEST + 1, 3 * comment.LONGEST])
def test_a_long_report_is_cut_and_says_so(length: int) -> None:
    """GitHub refuses a longer comment, and a preview without any report helps nobody."""
    body = ("word " * 15 + "\n") * (length // 76 + 1)
    body = body[:length]
    cut = comment.shortened(body)
    assert len(cut) <= comment.LONGEST
    if length == comment.LONGEST:
        assert cut == body
    else:
        assert cut.endswith(comment.CUT)
        assert body.startswith(cut.removesuffix(comment.CUT) + "\n")


def test_what_github_refuses_is_reported_without_the_token(github: GitHub) -> None:
    """The log says which call failed and how; it is public, so it never holds the token."""
    github.fail_with = 403
    with pytest.raises(comment.GitHubError, match=r"GET /repos/team/backend/issues/7/.*GitHub answered 403") as caught:
        comment.upsert(pull(github), "dev", "one")
    assert TOKEN not in str(caught.value)
    github.fail_with = None
    with pytest.raises(comment.GitHubError, match="GitHub answered 401"):
        comment.upsert(pull(github, token="wrong"), "dev", "one")


def test_a_github_that_is_away_is_one_sentence() -> None:
    """A broken network is no traceback."""
    gone = comment.PullRequest(api="http://127.0.0.1:9", repository="team/backend", number=7, token=TOKEN)
    with pytest.raises(comment.GitHubError, match="GitHub was not reached"):
        comment.upsert(gone, "dev", "one")
