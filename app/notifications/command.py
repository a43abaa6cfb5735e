"""`patchwright notify`: a test notification to each channel."""

from __future__ import annotations

from rich.console import Console

from app.notifications import config
from app.notifications.outgoing import tell, trial_notice
from app.notifications.send import NotSent
from app.settings.base import PREFIX, SettingsError
from app.settings.schema import Settings


async def send_tests(settings: Settings, name: str, out: Console) -> bool:
    """Send a test to the channel of this name, or to each; whether all took it.

    Raises `SettingsError` when there is no such channel, or none.
    """
    file = config.load(settings.notifications_file)
    channels = [each for each in file.channel if name in ("", each.name)]
    if not channels:
        what = f"no channel {name}" if name else "no channel"
        raise SettingsError(f"{PREFIX}NOTIFICATIONS_FILE: there is {what}. Add one to the file.")
    taken = True
    for channel in channels:
        try:
            await tell(settings, channel, trial_notice())
            said = "sent"
        except NotSent as error:
            taken, said = False, str(error)
        out.print(f"{channel.name}: {said}", markup=False, highlight=False, soft_wrap=True)
    return taken
