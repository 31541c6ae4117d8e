package main

import (
	"fmt"
	"strings"
)

type completionCmd struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"${enum}. Load it with: source <(handover completion bash)."`
}

// Run prints a script that completes the commands' names, and file names after them.
func (c *completionCmd) Run(e *env) error {
	var commands []string
	var deeper, fish strings.Builder
	for _, n := range e.model.Children {
		commands = append(commands, n.Name)
		var below []string
		for _, m := range n.Children {
			below = append(below, m.Name)
		}
		if len(below) > 0 {
			words := strings.Join(below, " ")
			fmt.Fprintf(&deeper, "    2,%s) words=%q ;;\n", n.Name, words)
			fmt.Fprintf(&fish, "complete -c handover -n '__fish_seen_subcommand_from %s' -f -a %q\n", n.Name, words)
		}
	}
	list := strings.Join(commands, " ")
	if c.Shell == "fish" {
		_, err := fmt.Fprintf(e.stdout, "complete -c handover -n __fish_use_subcommand -f -a %q\n%s", list, fish.String())
		return err
	}
	if c.Shell == "zsh" { // which runs bash's
		fmt.Fprint(e.stdout, "#compdef handover\nautoload -U +X bashcompinit && bashcompinit\n")
	}
	_, err := fmt.Fprintf(e.stdout, `_handover() {
  local words=
  case "$COMP_CWORD,$([ "$COMP_CWORD" -gt 1 ] && echo "${COMP_WORDS[1]}")" in
    1,*) words=%q ;;
%s  esac
  COMPREPLY=($(compgen -W "$words" -- "${COMP_WORDS[COMP_CWORD]}"))
}
complete -o default -F _handover handover
`, list, deeper.String())
	return err
}
