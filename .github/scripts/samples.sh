# Push the sample grids in folder $1 to the branch ci-samples, as $PR/$SHA/ROW.png: a comment shows only what has a URL.
# The branch is one commit with each pull request's latest grids: clones do not grow by older ones.
set -euo pipefail
shopt -s nullglob

grids=("$1"/*.png)
[ "${#grids[@]}" -gt 0 ] || { echo "no sample grids in $1"; exit 0; }

git config user.name "github-actions[bot]"
git config user.email "41898282+github-actions[bot]@users.noreply.github.com"
GIT_INDEX_FILE=$(mktemp -d)/index
export GIT_INDEX_FILE

for _ in 1 2 3; do  # another pull request's run may push in between
  git read-tree --empty
  old=$(git ls-remote origin refs/heads/ci-samples | cut -f 1)
  if [ -n "$old" ]; then
    git fetch --quiet --depth 1 origin ci-samples
    git read-tree "$old"
    git rm -r --cached --force --quiet --ignore-unmatch "$PR"
  fi
  for grid in "${grids[@]}"; do
    git update-index --add --cacheinfo "100644,$(git hash-object -w "$grid"),$PR/$SHA/$(basename "$grid")"
  done
  commit=$(git commit-tree -m "Sample grids of pull requests" "$(git write-tree)")
  if git push --force-with-lease="refs/heads/ci-samples:$old" origin "$commit:refs/heads/ci-samples"; then exit 0; fi
done
exit 1
