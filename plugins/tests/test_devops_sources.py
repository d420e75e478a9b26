"""Where versions come from: directories, archives of each kind, git repositories, and what is wrong with them."""

import io
import os
import subprocess
import tarfile
import unittest
import zipfile

from devops_world import World


class Directory(World):
    def test_a_version_that_does_not_exist_is_told_with_those_that_do(self):
        self.shop()
        self.version("1.0")
        self.version("1.1")
        self.fails("version_not_found", "deploy", "--version", "2.0", part="there are: 1.0, 1.1")
        self.shop(source='archive = "BUILDS/shop-{version}.tar.gz"')
        self.fails("version_not_found", "deploy", "--version", "2.0", part="there is none")
        (self.builds / "shop-3.tar.gz").write_bytes(b"")
        self.fails("version_not_found", "deploy", "--version", "2.0", part="there are: 3")
        self.assertEqual([], os.listdir(self.root))

    def test_a_source_that_is_missing_is_told_with_what_to_do(self):
        for source in ('directory = "BUILDS/gone"', 'directory = "BUILDS/gone/{version}"', 'archive = "BUILDS/gone.zip"', 'repository = "BUILDS/gone"'):
            self.shop(source=source)
            self.fails("source_missing", "deploy", "--version", "1", part="filesystem.read")
        self.assertEqual([], os.listdir(self.root))

    def test_a_loop_of_links_is_refused_and_nothing_is_left(self):
        self.shop()
        for name, links, code in [
            ("loop", {"a": "b", "b": "a"}, "symlink_loop"),
            ("self", {"a": "a"}, "symlink_loop"),
            ("below", {"d/a": "../d/a/x"}, "symlink_loop"),
            ("out", {"a": "../../../etc"}, "leads_out"),
        ]:
            self.version(name, {"d/x": ""})
            for link, target in links.items():
                (self.builds / name / link).symlink_to(target)
            self.fails(code, "deploy", "--version", name, part="is a symbolic link to")
            self.assertEqual(([], []), self.left())

    def test_links_within_are_kept_as_they_are(self):
        self.shop()
        self.version("1", {"d/x": "x"})
        links = {"up": ".", "d/back": "..", "there": "d/x", "later": "not/yet", "system": "/usr/bin/env"}
        for link, target in links.items():
            (self.builds / "1" / link).symlink_to(target)
        self.deploy("1")
        self.assertEqual(links, {link: os.readlink(self.root / "current" / link) for link in links})

    def test_what_is_no_file_is_refused(self):
        self.shop()
        self.version("1")
        os.mkfifo(self.builds / "1" / "pipe")
        self.fails("unsupported_file", "deploy", "--version", "1", part="pipe is neither a file")
        self.assertEqual(([], []), self.left())

    def test_a_source_around_the_root_is_refused(self):
        self.shop(source='directory = "PATH"')
        self.fails("source_contains_root", "deploy", part="would be copied into itself")
        self.assertEqual(([], []), self.left())


class Archive(World):
    def archive(self, members, name="shop-1.tar", mode="w"):
        """Writes an archive of tuples (name, type, text or target of a link)."""
        with tarfile.open(self.builds / name, mode) as archive:
            for path, kind, text in members:
                member = tarfile.TarInfo(path)
                member.type, member.mode = kind, 0o755
                content = text.encode() if kind == tarfile.REGTYPE else b""
                member.size = len(content)
                if kind in (tarfile.SYMTYPE, tarfile.LNKTYPE):
                    member.linkname = text
                archive.addfile(member, io.BytesIO(content))

    def test_archives_of_each_kind(self):
        members = [("shop-1", tarfile.DIRTYPE, ""), ("./shop-1/page", tarfile.REGTYPE, "of tar"), ("shop-1/a/b/run", tarfile.REGTYPE, "#!"),
                   ("shop-1/link", tarfile.SYMTYPE, "a/b/run"), ("shop-1/same", tarfile.LNKTYPE, "shop-1/page")]
        for at, (name, mode) in enumerate([("tar", "w"), ("tar.gz", "w:gz"), ("tar.bz2", "w:bz2"), ("tar.xz", "w:xz")]):
            self.archive(members, f"shop-{at}.{name}", mode)
            self.shop(source=f'archive = "BUILDS/shop-{{version}}.{name}", strip = 1')
            self.deploy(str(at))
            current = self.root / "current"
            self.assertEqual(("of tar", "of tar", "a/b/run"), (self.page(), (current / "same").read_text(), os.readlink(current / "link")))
            self.assertEqual(0o755, (current / "a/b/run").stat().st_mode & 0o777)

    def test_a_zip_file(self):
        with zipfile.ZipFile(self.builds / "shop-1.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            for path, mode, text in [("page", 0o100644, "of zip"), ("bin/run", 0o100755, "#!"), ("link", 0o120777, "page")]:
                member = zipfile.ZipInfo(path)
                member.external_attr = mode << 16
                archive.writestr(member, text)
        self.shop(source='archive = "BUILDS/shop-{version}.zip"')
        self.deploy("1")
        self.assertEqual(("of zip", "page"), (self.page(), os.readlink(self.root / "current/link")))
        self.assertEqual([0o644, 0o755], [(self.root / "current" / path).stat().st_mode & 0o777 for path in ("page", "bin/run")])

    def test_members_that_lead_out_are_refused_and_write_nothing(self):
        victim = self.path / "victim"
        file, link, hard = tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE
        self.shop(source='archive = "BUILDS/shop-{version}.tar"')
        for members in [
            [("../victim", file, "x")],
            [("a/../../../victim", file, "x")],
            [(str(victim), file, "x")],
            [("a", link, str(self.path)), ("a/victim", file, "x")],
            [("a", link, "../../.."), ("a/victim", file, "x")],
            [("a", link, str(self.path))],
            [("a", link, "..")],
            [("d/e/f", link, "../.."), ("g", link, "d/e/f/../../..")],
            [("a", hard, "../../../victim")],
            [("a", hard, str(victim))],
            [("a", link, "../../../victim"), ("b", hard, "a")],
            [("a", link, "../../../victim"), ("a/b", file, "x")],
        ]:
            with self.subTest(members=members):
                self.archive([("page", file, "page"), *members])
                self.fails("leads_out", "deploy", "--version", "1", part="leads out of the release")
                self.assertEqual((([], []), False), (self.left(), victim.exists()))

    def test_a_member_that_replaces_a_link_is_written_beside_its_target(self):
        victim = self.path / "victim"
        victim.write_text("safe")
        self.archive([("a", tarfile.SYMTYPE, str(victim)), ("a", tarfile.REGTYPE, "x")])
        self.shop(source='archive = "BUILDS/shop-{version}.tar"')
        self.deploy("1")
        self.assertEqual(("safe", "x"), (victim.read_text(), (self.root / "current/a").read_text()))

    def test_devices_are_refused(self):
        self.archive([("null", tarfile.CHRTYPE, "")])
        self.shop(source='archive = "BUILDS/shop-{version}.tar"')
        self.fails("unsupported_file", "deploy", "--version", "1", part="'null' in the archive is neither")

    def test_archives_that_are_broken_are_refused(self):
        self.archive([("page", tarfile.REGTYPE, os.urandom(50_000).hex())], "whole.tar.gz", "w:gz")
        whole = (self.builds / "whole.tar.gz").read_bytes()
        self.shop(source='archive = "BUILDS/broken-{version}"')
        for at, content in enumerate([b"", b"no archive", whole[:1000], whole[:-4], whole[:20_000] + b"\0" * 50 + whole[20_050:], b"PK\x05\x06" + b"\xff" * 18]):
            (self.builds / f"broken-{at}").write_bytes(content)
            self.fails("archive_broken", "deploy", "--version", str(at), part="cannot be unpacked")
            self.assertEqual(([], []), self.left())


class Repository(World):
    def git(self, *words):
        identity = {f"GIT_{who}_{what}": "a@b" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        done = subprocess.run(["git", "-C", self.builds, *words], env={**os.environ, **identity, "HOME": str(self.path)}, capture_output=True, encoding="utf-8", check=True)
        return done.stdout.strip()

    def commit(self, text, tag=None):
        (self.builds / "page").write_text(text)
        self.git("add", "-A")
        self.git("commit", "-m", text)
        if tag:
            self.git("tag", tag)
        return self.git("rev-parse", "HEAD")

    def setUp(self):
        super().setUp()
        self.git("init", "--initial-branch=main")
        (self.builds / "run").write_text("#!")
        (self.builds / "run").chmod(0o755)

    def test_a_tag_is_deployed_as_its_commit(self):
        first = self.commit("one", "v1")
        self.commit("two", "v2")
        self.shop(source='repository = "BUILDS", ref = "v{version}"')
        answer = self.deploy("1")
        self.assertEqual(("one", "1", first), (self.page(), answer["version"], answer["commit"]))
        self.assertEqual(0o755, (self.root / "current/run").stat().st_mode & 0o777)
        self.assertFalse((self.root / "current/.git").exists())
        self.deploy("2")
        self.assertEqual("two", self.page())
        self.assertFalse(self.deploy("2")["changed"])

    def test_a_branch_that_has_moved_is_deployed_again(self):
        self.commit("one")
        self.shop(source='repository = "BUILDS"')
        self.assertTrue(self.deploy("main")["changed"])
        self.assertFalse(self.deploy("main")["changed"])
        self.commit("two")
        self.assertTrue(self.deploy("main")["changed"])
        self.assertEqual("two", self.page())

    def test_a_fixed_ref_needs_no_version(self):
        commit = self.commit("one")
        self.shop(source='repository = "BUILDS", ref = "main"')
        self.assertEqual((commit[:12], commit), tuple(self.call("deploy")[key] for key in ("version", "commit")))
        self.assertFalse(self.call("deploy")["changed"])

    def test_what_is_not_in_the_repository_is_told(self):
        self.commit("one")
        self.shop(source='repository = "BUILDS", ref = "v{version}"')
        self.fails("version_not_found", "deploy", "--version", "9", part="there is no 'v9' in the repository")
        self.shop(source='repository = "ROOT"')
        self.fails("source_missing", "deploy", "--version", "9", part="is no git repository")
        self.assertEqual([], os.listdir(self.root))

    def test_a_link_in_a_commit_that_leads_out_is_refused(self):
        (self.builds / "passwords").symlink_to("/etc/passwd")
        self.commit("one", "1")
        self.shop(source='repository = "BUILDS"')
        self.fails("leads_out", "deploy", "--version", "1", part="'passwords' is a symbolic link to '/etc/passwd'")
        self.assertEqual(([], []), self.left())


if __name__ == "__main__":
    unittest.main()
