#!/bin/sh
# Makes the vendored files of this folder anew from the packages' archives:
#   sh build.sh DIR
# DIR holds the unpacked packages that README.md lists, each as NAME/package.
set -eu
from=${1:?the folder of the unpacked packages}
here=$(cd "$(dirname "$0")" && pwd)
cp "$from/htmx/package/dist/htmx.min.js" "$here/htmx.js"
cp "$from/htmx/package/dist/ext/hx-sse.min.js" "$here/htmx-sse.js"
cp "$from/uplot/package/dist/uPlot.iife.min.js" "$here/uplot.js"
cp "$from/uplot/package/dist/uPlot.min.css" "$here/uplot.css"
cp "$from/inter/package/files/inter-latin-wght-normal.woff2" "$here/inter.woff2"
cp "$from/jetbrains-mono/package/files/jetbrains-mono-latin-wght-normal.woff2" "$here/mono.woff2"
sed -i 's|//# sourceMappingURL=.*||' "$here/htmx.js" "$here/htmx-sse.js" "$here/uplot.js"
{
	printf '<svg xmlns="http://www.w3.org/2000/svg">\n'
	printf '<symbol id="steward" viewBox="0 0 24 24"><circle cx="12" cy="12" r="2.6" fill="currentColor" stroke="none"/><path d="M12 2.8a9.2 9.2 0 1 1-8.6 6"/><path d="M12 7.4a4.6 4.6 0 1 1-4.5 3.6" /></symbol>\n'
	printf '<symbol id="question" viewBox="0 0 24 24"><path d="M8 8.6a4 4 0 1 1 6 3.4c-1.3.8-2 1.5-2 3"/><path d="M12 20h.01"/></symbol>\\n'
	while read -r name; do
		[ -n "$name" ] || continue
		# Of each icon only what it draws: the stroke comes from the style sheet.
		body=$(tr '\n' ' ' <"$from/lucide/package/icons/$name.svg" | sed -e 's|<!--.*-->||' -e 's|^[^<]*<svg[^>]*>||' -e 's|</svg>.*||' -e 's|  *| |g' -e 's| />|/>|g')
		printf '<symbol id="%s" viewBox="0 0 24 24">%s</symbol>\n' "$name" "$body"
	done <"$here/icons.txt"
	printf '</svg>\n'
} >"$here/icons.svg"
