"""Bugs in the log on the disk: written, read, and made smaller."""

from tests.bugs.bug import Bug

__all__ = ["BUGS"]

BUGS = [
    Bug(
        "a page with the right checksum and the wrong index is damaged",
        "journal/rows.py",
        "    page = _StoredPage(row.number)",
        "    page = Page(row.number)",
        "tests/journal/test_rows.py -k where_its_page_says",
    ),
    Bug(
        "old pages do not stay in memory",
        "journal/durable.py",
        "if len(self._cache) > CACHED_PAGES:",
        "if False:",
        "tests/journal/test_shelving.py -k old_pages",
    ),
    Bug(
        "a reply that waits keeps no pages on the disk but its own",
        "journal/durable.py",
        "            first_page,\n            {place",
        "            timeline.held[0].first,\n            {place",
        "tests/journal/test_shelving.py -k none_that_come_later",
    ),
    Bug(
        "a page that a reply has yet to show stays on the disk",
        "journal/sqlite.py",
        " if row[0] not in what.spared",
        "",
        "tests/journal/test_shelving.py -k reply_that_waits",
    ),
    Bug(
        "what leaves memory is stored, whoever has yet to read it",
        "journal/durable.py",
        "held = self.chat.group.timeline.held",
        "held = self.chat.group.timeline.pages",
        "tests/journal/test_shelving.py -k reply_that_waits",
    ),
    Bug(
        "a restart is short however often there is one",
        "journal/recovery.py",
        "chain.records - state.records, fresh_bytes)",
        "0, 0)",
        "tests/journal/test_durable.py -k started_often",
    ),
    Bug(
        "nothing goes for its size before what nobody needs",
        "journal/durable.py",
        "if size > retention.size and self._fresh_records > UNSETTLED_RECORDS:",
        "if False:",
        "tests/journal/test_retention.py -k nobody_needs",
    ),
    Bug(
        "a new journal is on the disk before it has its name",
        "journal/files.py",
        "        os.fsync(file.fileno())\n",
        "        pass\n",
        "tests/journal/test_files.py -k before_it_has_its_name",
    ),
    Bug(
        "after a fault the server still has the file for itself",
        "journal/sqlite.py",
        "            return not is_committed(",
        "            self._path.open().close()\n            return not is_committed(",
        "tests/journal/test_faults.py -k no_other_program",
    ),
    Bug(
        "what is let go of while somebody reads is told",
        "journal/reader.py",
        "            yield Removed(base)\n",
        "            yield from ()\n",
        "tests/journal/test_transcript.py -k let_go_meanwhile",
    ),
    Bug(
        "nobody is told that nothing was stored before that is so",
        "journal/sqlite.py",
        "while not (self._void() or absent):",
        "while not (self._void() or True):",
        "tests/journal/test_faults.py -k before_that_is_so",
    ),
    Bug(
        "a server does not start where a damaged WAL hides what was stored",
        "journal/sqlite.py",
        "if raw.proven(last) > last:",
        "if False:",
        "tests/journal/test_wal.py -k sqlite_does_not_find",
    ),
    Bug(
        "what SQLite leaves behind in a WAL is not taken for damage",
        "journal/rawfile.py",
        "return newest - 1 if self._end else newest",
        "return newest",
        "tests/journal/test_wal.py -k not_finished",
    ),
    Bug(
        "nothing is written to a WAL that nobody would find",
        "journal/sqlite.py",
        "for file in (self._path, wal)}",
        "for file in (self._path,)}",
        "tests/journal/test_faults.py -k wal_that_is_taken",
    ),
]
