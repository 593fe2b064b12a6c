# `dvc repro` up to the table: what a remote or the restored cache has is fetched, what they have not is made.
# The stage `register` is left out: a runner's MLflow store is gone with the runner.
set -euo pipefail

# Small results that are fetched in any case: the grids for the comment; and what `--pull --allow-missing` does not fetch,
# as it takes a folder that is there with some of its files for a changed one (curves/ has its .gitignore; of data/curated
# and data/features the stage `configure` needs one file each).
results=$(for folder in curves samples data; do
  dvc list . "$folder" --dvc-only --show-hash | awk -v folder="$folder" '$1 != "-" { print folder "/" $2 }'
done | grep -v -x -e data/raw -e data/lab || true)

# shellcheck disable=SC2086 # a list of names without spaces
if [ -n "$results" ] && dvc pull $results; then
  echo "== what dvc.lock names is there: fetch what changed stages need"
  dvc repro --pull --allow-missing report
elif [ -n "$(dvc remote list)" ] && dvc pull --run-cache --allow-missing $results; then
  echo "== the remote lacks some of what dvc.lock names: make that"
  dvc repro --pull report
else
  echo "== no remote that can be read: what this repository's runs have cached, and else from scratch"
  # Of a stage that the lock knows, DVC wants the lock's very results, which are another machine's. Without it, it takes
  # those that its run cache has for the same code, params and data.
  rm -f dvc.lock
  dvc repro report
fi
