"""``check --rights``: what the connection's identity may do in the workspace, and what it lacks."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING, NamedTuple

from aml_provider.cli.execution import CommandError, Prose
from aml_provider.client import calls
from aml_provider.client.errors import PermissionDenied
from aml_provider.client.help import address_of, sentence, with_address
from aml_provider.client.rights import APIS, USES, built_in_role, lacking, needed, role_definition

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from aml_provider.cli.output import Record
    from aml_provider.client.entities import Permission
    from aml_provider.client.rights import Api
    from aml_provider.client.settings import WorkspaceSettings
    from aml_provider.hooks.azure_ml import AzureMLHook

_KINDS = {"app": "ServicePrincipal", "user": "User"}


class _Findings(NamedTuple):
    """What was found out about one use."""

    use: str
    api: Api
    needs: tuple[str, ...]
    lacks: tuple[str, ...]
    fix: tuple[str, ...]

    def to_record(self) -> Record:
        has = [action for action in self.needs if action not in self.lacks]
        return {
            "use": self.use,
            "api": self.api,
            "needs": list(self.needs),
            "has": has,
            "lacks": list(self.lacks),
            "fix": list(self.fix),
        }

    def to_text(self, *, with_fix: bool) -> str:
        title = f"{self.use} ({self.api})"
        if not self.lacks:
            return f"{title}: has all of {len(self.needs)} actions"
        lines = [f"{title}: lacks {len(self.lacks)} of {len(self.needs)} actions"]
        lines += [f"    {action}" for action in self.lacks]
        if with_fix:
            lines.append("  An owner can grant them with a role that has exactly the actions of this use:")
            lines += [f"    {line}" for line in self.fix[:2]]
            lines.append("  or with a built-in role, which grants more:")
            lines += [f"    {line}" for line in self.fix[2:]]
        return "\n".join(lines)


def check_rights(hook: AzureMLHook, uses: Sequence[str], apis: Sequence[Api] = APIS) -> Prose:
    """List what the identity has and lacks for each use.

    Nothing is carried out to find that out: Azure Resource Manager lists the identity's permissions.

    Args:
        hook: The connection.
        uses: The uses that it must be able to do, of ``USES``; empty: list all.
        apis: ``v1``, ``v2`` or both.

    Raises:
        CommandError: The permissions cannot be read, or the identity lacks an action for a use in ``uses``.
    """
    with hook.client() as client:
        settings, identity = client.settings, client.identity()
        assignee = _assignee(settings, identity)
        try:
            permissions = client.call(calls.list_permissions())
        except PermissionDenied as error:
            command = f"az role assignment list {assignee} --scope {_quoted(settings.arm_id)} --include-inherited"
            listing = f"{command} --output table"
            text = f"{sentence(error.text)} Until then, an owner can list the roles of the identity: {listing}"
            raise CommandError(with_address(text, address_of(PermissionDenied))) from error
    found = [_findings(use, api, permissions, settings, assignee) for use in uses or USES for api in apis]
    who = identity.get("oid") or settings.client_id or f"of auth_method {settings.auth_method!r}"
    parts = [f"Identity {who} in {settings.arm_id}"]
    parts += [item.to_text(with_fix=bool(uses)) for item in found]
    if not uses and any(item.lacks for item in found):
        parts.append("With the name of a use, such as --rights submit, the commands that grant it are printed too.")
    answer = Prose([item.to_record() for item in found], "\n\n".join(parts) + "\n")
    missing = [f"{item.use} ({item.api})" for item in found if item.lacks]
    if uses and missing:
        text = f"The identity lacks actions for {', '.join(missing)}."
        raise CommandError(with_address(text, address_of(PermissionDenied)), answer=answer)
    return answer


def _findings(
    use: str, api: Api, permissions: Iterable[Permission], settings: WorkspaceSettings, assignee: str
) -> _Findings:
    needs = needed(use, api)
    lacks = lacking(needs, permissions)
    return _Findings(use, api, needs, lacks, _fix(use, api, settings, assignee) if lacks else ())


def _fix(use: str, api: Api, settings: WorkspaceSettings, assignee: str) -> tuple[str, ...]:
    """The commands that grant what a use needs: create a role, assign it; or assign a built-in one."""
    role = role_definition(use, api, settings.arm_id.partition("/providers/")[0])
    assign = f"az role assignment create {assignee} --scope {_quoted(settings.arm_id)} --role"
    return (
        f"az role definition create --role-definition {_quoted(json.dumps(role))}",
        f"{assign} {_quoted(role['Name'])}",
        f"{assign} {_quoted(built_in_role(use, api))}",
    )


def _assignee(settings: WorkspaceSettings, identity: dict[str, str]) -> str:
    """The options of the Azure CLI that name the identity."""
    if "oid" in identity:
        kind = _KINDS.get(identity.get("idtyp", ""), "ServicePrincipal")
        return f"--assignee-object-id {identity['oid']} --assignee-principal-type {kind}"
    return f"--assignee {_quoted(settings.client_id or 'OBJECT_ID_OF_THE_IDENTITY')}"


def _quoted(text: str) -> str:
    return shlex.quote(text)
