"""The ends of logs: enough to see why a job has failed, and never more than an answer can hold."""

import io
import re
import zipfile

from provider import ENDED_WELL, FAILED
from smcp_plugin import Failure, progress

MOST_LOGS = 20
# Of one log, and of all that are answered together.
LOG_BYTES = 64 << 10
ALL_BYTES = 512 << 10
# What the files of an archive may come to when unpacked.
UNPACKED_BYTES = 512 << 20
# Colours and movements of a terminal, and the marks by which GitLab folds sections.
CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|section_(?:start|end):\d+:[^\r\n]*\r")


class Tail:
    """The end of what is added to it."""

    def __init__(self, limit=LOG_BYTES):
        self.limit, self.kept, self.is_cut = limit, bytearray(), False

    def add(self, chunk):
        self.kept += chunk
        if len(self.kept) > 2 * self.limit:
            self.shorten()

    def shorten(self):
        if len(self.kept) > self.limit:
            del self.kept[: -self.limit]
            self.is_cut = True

    def answer(self, lines):
        """The last lines as text, and whether that is not all."""
        self.shorten()
        text = CONTROL.sub("", self.kept.decode("utf-8", "replace")).lstrip("\ufeff")
        # Of a line that was written over, as progress bars are, what remained is shown.
        every = [line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n")]
        while every and not every[-1]:
            every.pop()
        if self.is_cut and len(every) > 1:
            del every[0]
        return {"text": "\n".join(every[-lines:]), "cut": self.is_cut or len(every) > lines}


def of_jobs(provider, run, jobs, lines, every=False):
    """The logs of the failed jobs, then those of the others if `every`."""
    chosen = sorted((job for job in jobs if every or job["state"] == FAILED), key=urgency)
    found = []
    for number, job in enumerate(chosen[:MOST_LOGS]):
        progress(number, min(len(chosen), MOST_LOGS), f"reading the log of {job['name']}")
        entry = {"job": job["job"], "name": job["name"], "state": job["state"]}
        try:
            tail = Tail(limit_of(len(chosen)))
            for chunk in provider.log(job["job"]):
                tail.add(chunk)
            found.append({**entry, **tail.answer(lines)})
        except Failure as failure:
            # A job that has not begun has no log, and one log that is gone must not hide the others.
            if failure.answer["code"] not in ("not_found", "gone"):
                raise
            found.append({**entry, "text": None, "note": str(failure)})
    return answer(provider, run, found, [job["name"] for job in chosen[MOST_LOGS:]], every)


def of_archive(provider, run, jobs, chunks, lines):
    """The logs in an archive, which has a file for each job, and often a directory of the same name with one for each step."""
    content = io.BytesIO()
    for chunk in chunks:
        content.write(chunk)
    try:
        with zipfile.ZipFile(content) as archive:
            files = [file for file in archive.infolist() if not file.is_dir() and file.filename.endswith(".txt")]
            files = [file for file in files if "/" not in file.filename] or files
            by_name = {file_name(job["name"]): job for job in jobs}
            chosen = sorted(((by_name.get(job_name(file)), file) for file in files), key=lambda pair: urgency(pair[0]))
            if sum(file.file_size for file in files) > UNPACKED_BYTES:
                most = f"{UNPACKED_BYTES >> 20} MiB"
                message = f"the logs of {provider.subject(run)} are more than {most}; ask for those of the failed jobs"
                raise Failure("too_large", message, retryable=False)
            found = [unpacked(archive, job, file, lines, limit_of(len(chosen))) for job, file in chosen[:MOST_LOGS]]
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, ValueError, zipfile.zlib.error):
        raise provider.service.strange("the archive of logs cannot be read") from None
    return answer(provider, run, found, [job_name(file) for _, file in chosen[MOST_LOGS:]], True)


def unpacked(archive, job, file, lines, limit):
    tail = Tail(limit)
    with archive.open(file) as opened:
        while chunk := opened.read(1 << 16):
            tail.add(chunk)
    known = job or {"job": None, "name": job_name(file), "state": None}
    return {**{key: known[key] for key in ("job", "name", "state")}, **tail.answer(lines)}


def job_name(file):
    return re.sub(r"^\d+_", "", file.filename.removesuffix(".txt"))


def file_name(job):
    """A job's name as a file has it: without what names of files cannot have."""
    return re.sub(r'[/\\:*?"<>|]', "", job)


def urgency(job):
    """Failed ones first, then others that have not ended well."""
    if job is None:
        return 2
    return 0 if job["state"] == FAILED else 1 if job["state"] not in ENDED_WELL else 2


def limit_of(count):
    return min(LOG_BYTES, ALL_BYTES // max(1, min(count, MOST_LOGS)))


def answer(provider, run, found, left_out, every):
    said = f"The ends of {len(found)} logs of {provider.subject(run)}"
    if not found and not every:
        said = f"No job of {provider.subject(run)} has failed; which=all has the logs of every job"
    return {"result": said, "run": run, "logs": found, "left_out": left_out}
