"""The class of figures; a module of its own, because importing it imports matplotlib."""

from __future__ import annotations

from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure as _Figure

#: In PDF, PS and SVG text stays text, which can be searched and edited; pixels are fine enough to print.
_EXPORT: dict[Any, Any] = {"pdf.fonttype": 42, "ps.fonttype": 42, "svg.fonttype": "none", "savefig.dpi": 300}


class Figure(_Figure):
    """A figure that is saved as journals ask for, wherever the user's settings are matplotlib's own."""

    def savefig(self, *args: Any, **options: Any) -> None:
        """Save the figure; as :meth:`matplotlib.figure.Figure.savefig`."""
        own = {name: value for name, value in _EXPORT.items() if mpl.rcParams[name] == mpl.rcParamsDefault[name]}
        with mpl.rc_context(own):
            super().savefig(*args, **options)
