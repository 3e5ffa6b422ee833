<?php

declare(strict_types=1);

require __DIR__ . '/../vendor/autoload.php';

foreach (['Hello, World' => 'hello-world', '  a  b ' => 'a-b', '' => ''] as $title => $slug) {
    if (Slugs\Slug::of($title) !== $slug) {
        echo "FAIL \"$title\"\n";
        exit(1);
    }
    echo "ok \"$title\"\n";
}
