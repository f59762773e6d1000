"""Promises of `flowrunner.definitions.checks.interpreters`: which arguments are code."""

from __future__ import annotations

import pytest

from flowrunner.definitions.checks.interpreters import code_arguments

CODE = "CODE"
"""Marks in the cases below where an interpreter finds code; a word may begin with an option."""


@pytest.mark.parametrize(
    "line",
    [
        pytest.param("sh -c CODE", id="shell"),
        pytest.param("/usr/bin/bash -c CODE name argument", id="path-and-arguments"),
        pytest.param("bash -ec CODE", id="bundle"),
        pytest.param("bash -ceu CODE", id="bundle-with-c-first"),
        pytest.param("bash -c -e CODE", id="option-behind-c"),
        pytest.param("bash -o pipefail -c CODE", id="option-with-value"),
        pytest.param("bash -euo pipefail -c CODE", id="bundle-with-value"),
        pytest.param("bash -ceuo pipefail CODE", id="bundle-with-c-and-value"),
        pytest.param("bash --norc --rcfile x -c CODE", id="long-options"),
        pytest.param("zsh -c CODE", id="zsh"),
        pytest.param("python3 -c CODE", id="python"),
        pytest.param("python3.12 -I -W error -X dev -c CODE x", id="python-with-version"),
        pytest.param("pypy3 -cCODE", id="attached"),
        pytest.param("python -Ic CODE", id="python-bundle"),
        pytest.param("perl -w -ne CODE file", id="perl"),
        pytest.param("perl -e CODE -e CODE", id="twice"),
        pytest.param("ruby -r json -e CODE", id="ruby"),
        pytest.param("node --require x --eval CODE", id="node"),
        pytest.param("node --eval=CODE", id="node-attached"),
        pytest.param("php -d a=b -r CODE", id="php"),
        pytest.param("awk CODE file", id="awk"),
        pytest.param("gawk -F : -v a=b CODE file", id="awk-with-options"),
        pytest.param("awk -F: CODE", id="awk-with-attached-option"),
        pytest.param("sed -n CODE file", id="sed"),
        pytest.param("sed -e CODE -e CODE file", id="sed-with-options"),
        pytest.param("sed --expression=CODE", id="sed-with-long-option"),
        pytest.param("su app -c CODE", id="su"),
        pytest.param("runuser -u app --command CODE", id="runuser"),
        pytest.param("psql -d orders -c CODE", id="psql"),
        pytest.param("psql orders --command=CODE", id="psql-attached"),
        pytest.param("mysql -u app orders -e CODE", id="mysql"),
        pytest.param("sudo -u app sh -c CODE", id="behind-sudo"),
        pytest.param("env A=b timeout 5 bash -c CODE", id="behind-two"),
        pytest.param("docker run --rm image python -c CODE", id="in-a-container"),
        pytest.param("sh -c CODE sh python -c CODE", id="two-interpreters"),
        pytest.param("bash -lc CODE", id="login-shell"),
        pytest.param("busybox sh -c CODE", id="busybox"),
        pytest.param("busybox awk CODE file", id="busybox-awk"),
        pytest.param("env -S CODE", id="env-splits"),
        pytest.param("env -i -vS CODE", id="env-splits-in-a-bundle"),
        pytest.param("env --split-string=CODE", id="env-splits-long"),
        pytest.param("env -u X VAR=x sh -c CODE", id="env-with-variable"),
        pytest.param("sudo -u x bash -c CODE", id="sudo"),
        pytest.param("sudo -Hu x A=b awk CODE", id="sudo-awk"),
        pytest.param("nice -n 5 sh -c CODE", id="nice"),
        pytest.param("nice -n 5 timeout -k 1 5 sed -n CODE file", id="three-deep"),
        pytest.param("timeout 5 sh -c CODE", id="timeout"),
        pytest.param("chroot /srv sh -c CODE", id="chroot"),
        pytest.param("chroot /srv jq CODE", id="chroot-jq"),
        pytest.param("nsenter -t 1 -m sh -c CODE", id="nsenter"),
        pytest.param("systemd-run --wait -p X=y sh -c CODE", id="systemd-run"),
        pytest.param("xargs -0 -n 1 sh -c CODE", id="xargs"),
        pytest.param("xargs -I {} sed CODE {}", id="xargs-sed"),
        pytest.param("docker exec -i c sh -c CODE", id="docker"),
        pytest.param("docker exec -u app c jq CODE", id="docker-jq"),
        pytest.param("docker run --rm -e A=b image awk CODE", id="docker-run-awk"),
        pytest.param("podman exec c sqlite3 db CODE", id="podman"),
        pytest.param("kubectl exec pod -c x -- jq CODE", id="kubectl"),
        pytest.param("find . -exec sh -c CODE ;", id="find"),
        pytest.param("find . -name x -exec sed -i CODE {} ;", id="find-sed"),
        pytest.param("ssh host CODE CODE CODE", id="remote-shell"),
        pytest.param("ssh -p 22 -i key -tt app@host -v CODE CODE", id="remote-shell-options"),
        pytest.param("timeout 5 ssh -o BatchMode=yes -- host CODE", id="remote-shell-behind"),
        pytest.param("sshpass -p x -P word ssh host CODE", id="password-for-ssh"),
        pytest.param("taskset -c 0,1 awk CODE file", id="on-some-cores"),
        pytest.param("gosu app sqlite3 x.db CODE", id="as-another-user"),
        pytest.param("docker-compose exec -u app db sqlite3 x.db CODE", id="compose"),
        pytest.param("docker compose exec -T db awk CODE file", id="compose-plugin-awk"),
        pytest.param("docker compose -f x.yaml exec db sqlite3 x.db CODE", id="compose-file"),
        pytest.param("podman container exec c jq CODE", id="container-group"),
        pytest.param("docker exec compose jq CODE", id="container-named-like-a-group"),
        pytest.param("cqlsh host 9042 -e CODE", id="cassandra"),
        pytest.param("sqlcmd -S host -d db -Q CODE", id="sql-server"),
        pytest.param("watch -n 5 CODE CODE", id="watch"),
        pytest.param("eval CODE CODE", id="eval"),
        pytest.param("node --eval=CODE", id="node-eval"),
        pytest.param("nodejs -p CODE", id="nodejs"),
        pytest.param("bun -e CODE", id="bun"),
        pytest.param("deno eval --ext=ts CODE x", id="deno"),
        pytest.param("perl -ne CODE", id="perl-loop"),
        pytest.param("perl -0777 -i.bak -pe CODE file", id="perl-slurp"),
        pytest.param("perl -MCODE -E CODE", id="perl-module"),
        pytest.param("ruby -ne CODE", id="ruby-loop"),
        pytest.param("lua5.4 -l x -e CODE", id="lua"),
        pytest.param("Rscript --vanilla -e CODE -e CODE x", id="rscript"),
        pytest.param("R --no-save -e CODE", id="r"),
        pytest.param("osascript -l JavaScript -e CODE", id="osascript"),
        pytest.param("julia -E CODE", id="julia"),
        pytest.param("octave --eval CODE", id="octave"),
        pytest.param("expect -c CODE", id="expect"),
        pytest.param("pwsh -NoProfile -ep Bypass -Command CODE CODE", id="powershell"),
        pytest.param("powershell -c CODE", id="powershell-short"),
        pytest.param("pwsh -Comm CODE CODE", id="powershell-takes-the-rest"),
        pytest.param("sqlite3 -batch -separator , db CODE CODE", id="sqlite"),
        pytest.param("sqlite3 -cmd CODE db CODE", id="sqlite-command"),
        pytest.param("duckdb db -c CODE", id="duckdb"),
        pytest.param("psql -tAc CODE", id="psql-bundle"),
        pytest.param("mysql -Nse CODE orders", id="mysql-bundle"),
        pytest.param("clickhouse-client --query CODE", id="clickhouse"),
        pytest.param("mongosh mongodb://h/d --eval CODE", id="mongosh"),
        pytest.param("jq CODE file", id="jq"),
        pytest.param("jq -r --arg a b CODE file", id="jq-with-arguments"),
        pytest.param("yq eval -i CODE file", id="yq-command"),
        pytest.param("yq -o json CODE file", id="yq"),
        pytest.param("su - app -c CODE", id="su-login"),
        pytest.param("su -lc CODE app", id="su-bundle"),
        pytest.param("fish -ic CODE", id="fish"),
        pytest.param("script -qec CODE /dev/null", id="script"),
        pytest.param("flock -n lock -c CODE", id="flock"),
        pytest.param("flock lock sh -c CODE", id="behind-flock"),
    ],
)
def test_code_is_found(line: str) -> None:
    """Each interpreter's own way of being told its code is known."""
    words = line.split()
    expected = {index for index, word in enumerate(words) if word.endswith(CODE)}

    assert code_arguments(words) == expected


@pytest.mark.parametrize(
    "line",
    [
        pytest.param("sh deploy.sh -c x", id="script"),
        pytest.param("bash -x deploy.sh -e x", id="script-behind-option"),
        pytest.param("bash -o pipefail deploy.sh -c x", id="script-behind-value"),
        pytest.param("python3 tool.py -c x", id="python-script"),
        pytest.param("python3 -m tool -c x", id="python-module"),
        pytest.param("perl -w script.pl -e x", id="perl-script"),
        pytest.param("node -r x server.js -e x", id="node-script"),
        pytest.param("awk -f program.awk file", id="awk-file"),
        pytest.param("sed -f program.sed file", id="sed-file"),
        pytest.param("apt-get install awk x", id="awk-is-an-argument"),
        pytest.param("rsync -e ssh a b", id="other-program"),
        pytest.param("grep -c x", id="count"),
        pytest.param("psql -f file.sql", id="psql-file"),
        pytest.param("sh", id="alone"),
        pytest.param("sh -c", id="nothing-behind"),
        pytest.param("python3 -c", id="nothing-behind-python"),
        pytest.param("bash -o", id="no-value"),
        pytest.param("sh -", id="standard-input"),
        pytest.param("", id="empty"),
        pytest.param("ssh host", id="ssh-alone"),
        pytest.param("ssh -i key -L 1:h:2 app@host", id="ssh-options"),
        pytest.param("git clone ssh x", id="ssh-is-an-argument"),
        pytest.param("apt-get install jq sqlite3 watch", id="packages"),
        pytest.param("sudo apt-get install jq x", id="packages-behind-sudo"),
        pytest.param("watch -n 5 -x ls x", id="watch-without-shell"),
        pytest.param("sshpass -f ssh scp x host:y", id="password-file"),
        pytest.param("taskset 3 ls awk x", id="mask-of-cores"),
        pytest.param("jq -f program.jq file", id="jq-file"),
        pytest.param("jq -rf program.jq file", id="jq-file-in-a-bundle"),
        pytest.param("sqlite3 db", id="sqlite-database"),
        pytest.param("flock lock grep -c x file", id="option-of-what-flock-runs"),
        pytest.param("env -u X A=x grep -S x", id="option-of-what-env-runs"),
        pytest.param("timeout 5 grep -c x", id="option-of-what-timeout-runs"),
        pytest.param("env A=x", id="variables-alone"),
        pytest.param("sudo -u app", id="sudo-alone"),
        pytest.param("npm run script -c x", id="script-is-an-argument"),
        pytest.param("pwsh -File x.ps1 -c x", id="powershell-file"),
        pytest.param("pwsh x.ps1 -c x", id="powershell-script"),
        pytest.param("Rscript report.R -e x", id="r-script"),
        pytest.param("deno run eval x", id="deno-script"),
        pytest.param("tclsh script.tcl -c x", id="tclsh"),
        pytest.param("docker logs -f watch x", id="container-name"),
        pytest.param("docker cp jq:/x y", id="container-path"),
        pytest.param("find . -name sed -newer x", id="find-a-name"),
        pytest.param("kubectl get pods jq x", id="kubectl-without-command"),
        pytest.param("nice -n 5 rsync -e ssh a b", id="transport"),
        pytest.param("tar -C /srv -czf x y", id="tar"),
        pytest.param("curl -d x -H y https://example.com", id="curl"),
        pytest.param("make -C x eval y", id="make"),
    ],
)
def test_data_is_no_code(line: str) -> None:
    """Arguments of a script or of another program stay free for data."""
    assert code_arguments(line.split()) == frozenset()


def test_numbers_and_empty_words_are_words() -> None:
    """An argv may hold numbers and empty texts."""
    assert code_arguments([5, "", 1.5, "sh", "-c", 7]) == {5}


def test_many_interpreters_are_no_burden() -> None:
    """The search is linear even where each word could begin another search."""
    assert code_arguments(["psql"] * 30_000) == frozenset()
    assert code_arguments(["sh", "-o"] * 30_000) == frozenset()
    assert code_arguments(["sudo", "-u"] * 30_000) == frozenset()
    assert code_arguments(["flock"] * 30_000) == frozenset()
    assert code_arguments(["env"] * 30_000) == frozenset()
    assert code_arguments(["pwsh", "-c"] * 15_000) == frozenset(range(2, 30_000))
    assert code_arguments(["ssh", *["-c"] * 30_000]) == frozenset()
