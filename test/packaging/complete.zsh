# complete.zsh FOLDER LINE...: prints what the completion in FOLDER offers for each line, then <next>. Zsh completes in a
# terminal alone, so another zsh in a pseudo-terminal sources this file; a function in place of the builtin that collects
# matches prints them.
if [[ -n $COMPLETION_FOLDER ]]; then
  PROMPT= RPROMPT= PS2=
  fpath=($COMPLETION_FOLDER $fpath)
  autoload -U compinit && compinit -u -D
  compadd() {
    # With -O, -A or -D it only fills arrays.
    if [[ " ${@[1,(i)(-|--)]} " != *\ -(O|A|D)\ * ]]; then
      local -a hits
      builtin compadd -A hits "$@"
      (( $#hits )) && print -rl -- "<"${^hits}">"
    fi
    builtin compadd "$@"
  }
  offer() {
    zle list-choices
    print '<end>'
  }
  zle -N offer
  bindkey '^X' offer
  print '<ready>'
  return
fi

zmodload zsh/zpty
export COMPLETION_FOLDER=$1
zpty shell zsh -f -i
zpty -w shell "source ${(q)ZSH_ARGZERO:-$0}"
zpty -r -m shell out '*<ready>*' || exit 1
for line in "${@:2}"; do
  zpty -w -n shell "$line"$'\C-x'
  zpty -r -m shell out '*<end>*' || exit 1
  print -r -- "${out/<end>/}"
  print '<next>'
  zpty -w -n shell $'\C-u'
done
zpty -d shell
