/**
 * The shells' side of completion. Each hands the words up to the cursor to `netsim __complete` and shows what comes back; what there is to
 * complete is known there alone, so a script stays right as netsim grows.
 */

/**
 * bash 3.2 and later, without the bash-completion package. bash breaks words at : and =, so they are put together again, and what stands
 * before the last of them is cut off what is offered.
 */
const BASH = `# bash completion for netsim: source <(netsim completion bash)
_netsim() {
  local cur line rest word i n=0 reply directive candidate
  local -a words
  COMPREPLY=()
  line=\${COMP_LINE:0:COMP_POINT}
  for ((i = 0; i <= COMP_CWORD; i++)); do
    rest=\${line#"\${line%%[![:space:]]*}"}
    word=\${COMP_WORDS[i]}
    ((i == COMP_CWORD)) && word=$rest
    if ((n > 0)) && [[ $rest == "$line" && -n $line ]]; then
      words[n - 1]+=$word
    else
      words[n]=$word
      n=$((n + 1))
    fi
    line=\${rest#"$word"}
  done
  cur=\${words[n - 1]}
  reply=$(NETSIM_COMPLETE_QUOTED=1 "\${words[0]/#~\\//$HOME/}" __complete "\${words[@]:1}" 2>/dev/null) || return 0
  directive=\${reply##*:}
  reply=\${reply%:*}
  local cut=
  [[ $COMP_WORDBREAKS == *:* && $cur == *:* ]] && cut=\${cur%"\${cur##*:}"}
  [[ $COMP_WORDBREAKS == *=* && $cur == *=* ]] && cut=\${cur%"\${cur##*=}"}
  while IFS= read -r candidate; do
    candidate=\${candidate%%$'\\t'*}
    [[ -n $candidate ]] && COMPREPLY+=("\${candidate#"$cut"}")
  done <<<"$reply"
  if type compopt >/dev/null 2>&1; then
    ((directive & 2)) && compopt -o nospace 2>/dev/null
    ((directive & 4)) && compopt +o default 2>/dev/null
  fi
  return 0
}
complete -o default -F _netsim netsim kubectl-netsim
`

const ZSH = `#compdef netsim kubectl-netsim
# zsh completion for netsim: source <(netsim completion zsh), after compinit; or as the file _netsim in a folder of $fpath
_netsim() {
  local -a args lines candidates options
  local reply line value directive
  args=("\${(@Q)words[2,CURRENT-1]}" "\${(Q)PREFIX}")
  reply=$("\${(Q)words[1]/#\\~\\//$HOME/}" __complete "\${args[@]}" 2>/dev/null) || return 1
  lines=("\${(@f)reply}")
  directive=\${lines[-1]#:}
  for line in "\${(@)lines[1,-2]}"; do
    value=\${line%%$'\\t'*}
    candidates+=("\${value//:/\\\\:}:\${line#*$'\\t'}")
    [[ $line == *$'\\t'* ]] || candidates[-1]=\${value//:/\\\\:}
  done
  ((directive & 2)) && options=(-S '')
  if ((\${#candidates})); then
    _describe -V netsim candidates "\${options[@]}"
  elif ((!(directive & 4))); then
    [[ $PREFIX == --*=* ]] && compset -P '*='
    _files
  fi
}
if [[ \${funcstack[1]} == _netsim ]]; then
  _netsim "$@"
else
  compdef _netsim netsim kubectl-netsim
fi
`

const FISH = `# fish completion for netsim: netsim completion fish | source
function __netsim_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    set -l plain (string unescape -- $current 2>/dev/null; or echo -- $current)
    set -l reply (command $words[1] __complete $words[2..-1] "$plain" 2>/dev/null)
    or return
    set -l directive (string replace ':' '' -- $reply[-1])
    set -e reply[-1]
    if test (count $reply) -gt 0
        printf '%s\\n' $reply
    else if test (math "bitand($directive, 4)") -eq 0
        set -l flag (string match -r -- '^--[^=]+=' $plain)
        for path in (__fish_complete_path (string replace -- "$flag" '' $plain))
            printf '%s%s\\n' "$flag" $path
        end
    end
end
complete -c netsim -f -a '(__netsim_complete)'
complete -c kubectl-netsim -f -a '(__netsim_complete)'
`

export const COMPLETION_SCRIPTS = { bash: BASH, zsh: ZSH, fish: FISH } as const
export type CompletionShell = keyof typeof COMPLETION_SCRIPTS
