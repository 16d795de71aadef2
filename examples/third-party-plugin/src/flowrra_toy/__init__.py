"""A Flowrra plugin as a third party writes one: a broker, an executor, and hooks."""

from flowrra.version import SPI_VERSION

if SPI_VERSION != 1:
    raise ImportError(
        f"flowrra-toy speaks version 1 of Flowrra's plugin contracts, installed is {SPI_VERSION}; "
        "try: pip install --upgrade flowrra-toy"
    )
