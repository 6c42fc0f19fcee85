"""How the embedded base in ``weights/mini`` is made: data, autoencoder, UNet, export, report."""
