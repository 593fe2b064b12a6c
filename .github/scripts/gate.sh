# The gate against the merge base: gate.md, the run's summary, and the gate's exit status.
set -euo pipefail

base=$(git merge-base "origin/$GITHUB_BASE_REF" HEAD)
status=0
tintype gate --against "$base" --md > gate.md 2> gate.log || status=$?
if [ "$status" -gt 1 ]; then
  printf '### ❌ the gate cannot compare\n\n```\n%s\n```\n' "$(cat gate.log)" > gate.md
elif [ -f report/table.md ]; then
  printf '\n#### The table\n\n%s\n' "$(cat report/table.md)" >> gate.md
fi

cat gate.md
{
  cat gate.md
  printf '\nThe sample grids are in the artifact `project` of this run.\n'
} >> "$GITHUB_STEP_SUMMARY"
exit "$status"
