"""What a file that a network worked on says of itself, in whichever format: that it was edited by a model, by which, and how."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from xml.sax.saxutils import quoteattr

from PIL.PngImagePlugin import PngInfo

from ... import __version__

SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
"""IPTC's term for media that were edited with a trained algorithm."""
SOFTWARE = f"Ganforge {__version__}"
PACKET = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
    '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" '
    'xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" xmlns:xmp="http://ns.adobe.com/xap/1.0/" '
    "Iptc4xmpExt:DigitalSourceType={source} Iptc4xmpExt:AISystemUsed={facts} xmp:CreatorTool={software}/>"
    '</rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
)
"""XMP with the properties of IPTC 2025.1."""
Facts = Mapping[str, Any]
"""recipe, model_sha256, and the settings that the picture was made with."""


def chunks(facts: Facts) -> PngInfo:
    """For PNG: the text chunks DigitalSourceType, Software and `ganforge`, as generated images have them, and XMP."""
    info = PngInfo()
    info.add_text("Software", SOFTWARE)
    info.add_text("DigitalSourceType", SOURCE_TYPE)
    info.add_text("ganforge", json.dumps(facts))
    info.add_itxt("XML:com.adobe.xmp", xmp(facts).decode())
    return info


def xmp(facts: Facts) -> bytes:
    """For other formats: an XMP packet."""
    values = {"source": SOURCE_TYPE, "facts": json.dumps(facts), "software": SOFTWARE}
    return PACKET.format(**{name: quoteattr(value) for name, value in values.items()}).encode()


def comment(facts: Facts) -> str:
    """For videos: one line."""
    return json.dumps({"software": SOFTWARE, "digital_source_type": SOURCE_TYPE, **facts})
