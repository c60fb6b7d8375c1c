"""`trendtrain completion`: a script with which a shell completes commands, options, and the keys of `train`."""

import argparse
import sys
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, Final

SHELLS: Final = ("bash", "zsh", "fish")

_BASH: Final = """\
_trendtrain() {{
    local line="${{COMP_LINE:0:$COMP_POINT}}" words=
    local word="${{line##* }}"
    case "$line" in
{cases}
        *\\ *\\ *) ;;
        *) words="{commands}" ;;
    esac
    COMPREPLY=($(compgen -W "$words" -- "$word"))
    [ "${{#COMPREPLY[@]}}" -gt 0 ] || COMPREPLY=($(compgen -f -- "$word"))
    # bash completes what stands behind the last = alone
    [ -z "$BASH_VERSION" ] || [ "$word" = "${{word%=*}}" ] || COMPREPLY=("${{COMPREPLY[@]#"${{word%=*}}="}}")
}}
complete -o nospace -F _trendtrain trendtrain
"""
_ZSH: Final = "autoload -U +X compinit && compinit\nautoload -U +X bashcompinit && bashcompinit\n"


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command and its options."""
    text = "what a shell needs to complete: source <(trendtrain completion bash)"
    parser = commands.add_parser("completion", help=text)
    parser.add_argument("shell", choices=SHELLS, help="bash, zsh or fish")
    parser.set_defaults(run=partial(run, commands))


def run(commands: "argparse._SubParsersAction[argparse.ArgumentParser]", options: argparse.Namespace) -> int:
    """Print the script."""
    words = {name: sorted(_words(parser)) for name, parser in commands.choices.items()}
    words["train"] = sorted(_train_words())
    sys.stdout.write(_fish(words) if options.shell == "fish" else (options.shell == "zsh") * _ZSH + _bash(words))
    return 0


def _words(parser: argparse.ArgumentParser) -> Iterator[str]:
    """Yield the options of a command, its choices, and those of its own commands."""
    for action in parser._actions:
        yield from (option for option in action.option_strings if option.startswith("--"))
        yield from map(str, action.choices or ())
        if isinstance(action, argparse._SubParsersAction):
            for inner in action.choices.values():
                yield from _words(inner)


def _train_words() -> Iterator[str]:
    """Yield the choices of each group, and the other keys of the configuration."""
    from omegaconf import OmegaConf

    from trendtrain.compose import compose_config
    from trendtrain.keys import choices_of, defaults_of, main_configuration

    for group in defaults_of(main_configuration()):
        yield from (f"{group}={choice}" for choice in choices_of(group))
    config: dict[str, Any] = OmegaConf.to_container(compose_config(data="files"), resolve=False)  # type: ignore[assignment]
    yield from (f"{key}=" for key in _keys(config))
    yield from ("--multirun", "--cfg", "--help", "hydra.run.dir=")


def _keys(config: Mapping[str, Any], path: str = "") -> Iterator[str]:
    for name, value in config.items():
        if isinstance(value, Mapping):
            yield from _keys(value, f"{path}{name}.")
        elif not name.startswith("_"):
            yield f"{path}{name}"


def _bash(words: Mapping[str, list[str]]) -> str:
    cases = "\n".join(f'        *\\ {name}\\ *) words="{" ".join(found)}" ;;' for name, found in words.items())
    return _BASH.format(cases=cases, commands=" ".join(words))


def _fish(words: Mapping[str, list[str]]) -> str:
    lines = [f'complete -c trendtrain -n __fish_use_subcommand -f -a "{" ".join(words)}"']
    for name, found in words.items():
        when = f'complete -c trendtrain -n "__fish_seen_subcommand_from {name}"'
        lines += [f"{when} -l {word[2:]}" for word in found if word.startswith("--")]
        if plain := [word for word in found if not word.startswith("--")]:
            lines.append(f'{when} -a "{" ".join(plain)}"')
    return "\n".join(lines) + "\n"
