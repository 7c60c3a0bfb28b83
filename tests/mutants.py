"""Mutation testing of the core: ``make mutants``.

mutmut changes the core in hundreds of small ways, one at a time, and runs its tests against
each; a mutant that no test notices has survived. This prints the score and each survivor with
the reason why no test can or need tell it from the original, and fails when the score is below
the target or a survivor has no reason.
"""

import shutil
import subprocess
import sys

TARGET = 95.0  # per cent of the mutants that the tests must kill

# By the changed line, as it stands in the mutant.
REASONS = {
    "for _ in range(5):": "equivalent: no name changes after the fourth round",
    "old, renamed, new = shown.rpartition(_RENAMED)": "equivalent: the phrase stands there once",
    "for number in range(len(self._pages)):": "equivalent: earlier pages have no lines ahead",
    "if cursor.position <= self._pages[-1].first:": "equivalent: counts a page off and on again",
    "if len(spaced) > 5 * MAX_NAME_CHARACTERS:": "equivalent: only bounds the time NFC takes",
    "member.untold = None": "equivalent: as false as 0",
}


def mutmut(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "mutmut", *arguments], check=True, capture_output=True, text=True
    )
    return done.stdout


def main() -> int:
    shutil.rmtree("mutants", ignore_errors=True)  # what an earlier run knew may be out of date
    subprocess.run([sys.executable, "-m", "mutmut", "run"], check=True)
    results = [line.split(": ") for line in mutmut("results", "--all", "true").splitlines() if line]
    killed = [name for name, status in results if status in ("killed", "timeout")]
    score = 100 * len(killed) / len(results)
    unexplained = 0
    print(f"\n{len(results)} mutants of groupchat/core, {len(killed)} killed: {score:.1f} %")
    for name, status in results:
        if name in killed:
            continue
        diff = mutmut("show", name.strip()).splitlines()
        line = next(d[1:].strip() for d in diff if d.startswith("+") and not d.startswith("+++"))
        reason = REASONS.get(line)
        unexplained += reason is None
        print(f"  {status.strip()}: {line}\n      {reason or 'NO REASON KNOWN'}")
    if score < TARGET or unexplained:
        print(f"target: {TARGET} % killed, and a reason for each survivor")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
