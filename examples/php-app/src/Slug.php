<?php

declare(strict_types=1);

namespace Slugs;

/** A title as it stands in a URL. */
final class Slug
{
    public static function of(string $title): string
    {
        return trim(preg_replace('/[^a-z0-9]+/', '-', mb_strtolower($title)), '-');
    }
}
