# Comment on pull request $PR: what the project's artifact in folder $1 says. One comment, edited on every push.
set -euo pipefail
shopt -s nullglob

grids=("$1"/samples/*.png)
{
  cat "$1/gate.md"
  if [ "${#grids[@]}" -gt 0 ]; then
    printf '\n#### Sample grids\n\nThe best, median and worst photos of each row: gray, truth, prediction.\n'
  fi
  for grid in "${grids[@]}"; do
    row=$(basename "$grid" .png)
    url="$GITHUB_SERVER_URL/$GITHUB_REPOSITORY/raw/ci-samples/$PR/$SHA/$row.png"
    printf '\n`%s`\n\n![%s](%s)\n' "$row" "$row" "$url"
  done
  printf '\n<sub>%s, [run](%s)</sub>\n' "$SHA" "$GITHUB_SERVER_URL/$GITHUB_REPOSITORY/actions/runs/$GITHUB_RUN_ID"
} > comment.md
gh pr comment "$PR" --edit-last --create-if-none --body-file comment.md
