#!/usr/bin/env bash
# Installs the two software drivers that WebGPU is tested on (Debian 12 or later, as root), and prints what
# VK_DRIVER_FILES must be for each: `lavapipe PATH`, then `swiftshader PATH`.
#
#   bash tools/gpu/drivers/install.sh FOLDER
set -eu
here=$(cd "$(dirname "$0")" && pwd)
folder=$(mkdir -p "$1" && cd "$1" && pwd)

missing=()
for package in libvulkan1 libvulkan-dev mesa-vulkan-drivers chromium gcc libc6-dev; do
  dpkg -s "$package" > "$folder/dpkg.log" 2>&1 || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
  apt-get update >&2
  DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}" >&2
fi

gcc -O2 -shared -fPIC -o "$folder/liblavapipe-shim.so" "$here/lavapipe-shim.c" -ldl
cat > "$folder/lavapipe.json" << END
{"file_format_version": "1.0.0", "ICD": {"library_path": "$folder/liblavapipe-shim.so", "api_version": "1.3.230"}}
END
echo "lavapipe $folder/lavapipe.json"
echo "swiftshader /usr/lib/chromium/vk_swiftshader_icd.json"
