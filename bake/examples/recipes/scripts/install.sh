#!/bin/sh
# Runs inside of the image.
set -eu
echo "installing $PACKAGE"
printf '#!/bin/sh\necho %s\n' "$PACKAGE" > /bin/shop
chmod 755 /bin/shop
