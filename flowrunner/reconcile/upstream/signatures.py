"""Whether a commit or a tag is signed by a key that the host's settings trust."""

from __future__ import annotations

from pathlib import Path

from flowrunner.config.git_settings import VerifyMode
from flowrunner.model.conditions import ConditionReason
from flowrunner.reconcile.upstream.git_client import GitClient, RunsTools
from flowrunner.reconcile.upstream.values import RefusedRevisionError
from flowrunner.system.files import Files
from flowrunner.system.tools import StoppedError, ToolFailedError

_LARGEST_KEYS = 4 * 1024**2
_IMPORT_S = 60.0
_MOST_SAID = 1_000
"""Characters of a refusal: gpg says last what is wrong with a key, after long names."""
_NO_PROGRAM = "/bin/false"
_ARMOUR = b"-----BEGIN PGP"
_OPENPGP_KEY = (0x98, 0x99, 0xC6)
"""How a file of exported keys begins. Source: RFC 9580, section 4.2, packet type 6."""


class Signatures:
    """Verifies with `ssh-keygen` or `gpg`, and only with the keys in one file.

    Args:
        run: Runs tools.
        files: The files of the host.
        mode: What must be signed.
        keys: An `allowed_signers` file, or exported public keys of GnuPG; None when nothing must.
        home: A folder for gpg, made anew from the keys each time they change.
    """

    def __init__(
        self, run: RunsTools, files: Files, mode: VerifyMode, keys: Path | None, home: Path
    ) -> None:
        self._run = run
        self._files = files
        self._mode = mode
        self._keys = keys
        self._home = home
        self._imported = b""

    @property
    def mode(self) -> VerifyMode:
        """What must be signed."""
        return self._mode

    def check(self, git: GitClient, commit: str, fetched: str, name: str = "") -> bool:
        """Returns whether a signature was asked for; it is good then.

        Args:
            git: Asks about the repository.
            commit: Exactly the commit that is to be read.
            fetched: What the ref named: the commit, or an annotated tag of it.
            name: That ref, in full.

        Raises:
            RefusedRevisionError: There is no good signature.
        """
        if self._mode == "off" or self._keys is None:
            return False
        options, env = self._options(self._keys)
        if self._mode == "head":
            self._verify(git, "commit", commit, options, env)
        else:
            self._check_tag(git, commit, fetched, name)
            self._verify(git, "tag", fetched, options, env)
        return True

    def _check_tag(self, git: GitClient, commit: str, fetched: str, name: str) -> None:
        if git.text("cat-file", "-t", fetched) != "tag":
            text = (
                f"{commit[:12]} is not named by an annotated tag, which source.git.verify asks for"
            )
            raise RefusedRevisionError(ConditionReason.NOT_SIGNED, text)
        # Git dereferences tags of tags: the signature must be about this very commit.
        head, _, rest = git.git("cat-file", "tag", fetched).partition(b"\n")
        if head != b"object " + commit.encode():
            text = f"the tag does not stand for the commit {commit[:12]} itself"
            raise RefusedRevisionError(ConditionReason.BAD_SIGNATURE, text)
        # Whoever may push can give a tag that was signed for something else this name.
        signed = _name_in(rest)
        if f"refs/tags/{signed}" != name:
            text = f"the tag was signed under the name {signed[:60]!r}, not as {name}"
            raise RefusedRevisionError(ConditionReason.BAD_SIGNATURE, text)

    def _verify(
        self, git: GitClient, kind: str, name: str, options: tuple[str, ...], env: dict[str, str]
    ) -> None:
        try:
            git.git(f"verify-{kind}", name, options=options, env=env)
        except StoppedError:
            raise
        except ToolFailedError as error:
            content = git.git("cat-file", kind, name)
            if b"-----BEGIN " not in content and b"\ngpgsig" not in content:
                text = f"the {kind} {name[:12]} is not signed"
                raise RefusedRevisionError(ConditionReason.NOT_SIGNED, text) from error
            said = error.message.partition(": ")[2].strip() or "by none of the keys"
            text = f"the {kind} {name[:12]} has no good signature: {' '.join(said.split())}"
            raise RefusedRevisionError(ConditionReason.BAD_SIGNATURE, text[:_MOST_SAID]) from error

    def _options(self, keys: Path) -> tuple[tuple[str, ...], dict[str, str]]:
        """Returns what makes git use these keys, and no others."""
        try:
            content = self._files.read(keys, limit=_LARGEST_KEYS)
        except OSError as error:
            text = f"source.git.verify.keys cannot be read: {error.strerror or error}"
            raise RefusedRevisionError(ConditionReason.KEYS_UNREADABLE, text) from error
        is_openpgp = content.lstrip().startswith(_ARMOUR) or content[:1] in map(_byte, _OPENPGP_KEY)
        ssh, gpg = ("ssh-keygen", _NO_PROGRAM)
        if is_openpgp:
            ssh, gpg = (_NO_PROGRAM, "gpg")
            self._import(keys, content)
        settings = (
            f"gpg.program={gpg}",
            f"gpg.ssh.program={ssh}",
            f"gpg.x509.program={_NO_PROGRAM}",
            f"gpg.ssh.allowedSignersFile={'/dev/null' if is_openpgp else keys}",
        )
        options = tuple(part for each in settings for part in ("-c", each))
        return options, {"GNUPGHOME": str(self._home)}

    def _import(self, keys: Path, content: bytes) -> None:
        if content == self._imported:
            return
        self._files.remove_tree(self._home)
        self._files.make_folder(self._home)
        argv = ("gpg", "--batch", "--quiet", "--no-autostart", "--homedir", str(self._home))
        try:
            self._run((*argv, "--import", "--", str(keys)), timeout_s=_IMPORT_S)
        except StoppedError:
            raise
        except ToolFailedError as error:
            text = f"source.git.verify.keys cannot be imported: {error.message}"[:_MOST_SAID]
            raise RefusedRevisionError(ConditionReason.KEYS_UNREADABLE, text) from error
        self._imported = content


def _name_in(rest: bytes) -> str:
    """Returns the name in a tag, of its lines below the first. Source: git-mktag(1)."""
    _, _, line = rest.partition(b"\n")  # below `type commit`
    return line.partition(b"\n")[0].removeprefix(b"tag ").decode(errors="replace")


def _byte(value: int) -> bytes:
    return bytes((value,))
