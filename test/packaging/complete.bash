# complete.bash FILE LINE...: prints what the completion in FILE offers for each line, then <next>.
source "$1"
for line in "${@:2}"; do
  read -r -a COMP_WORDS <<< "$line"
  if [[ $line == *' ' ]]; then COMP_WORDS+=(''); fi
  COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
  _reveille
  printf '<%s>\n' "${COMPREPLY[@]}"
  echo '<next>'
done
