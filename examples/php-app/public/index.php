<?php

declare(strict_types=1);

require __DIR__ . '/../vendor/autoload.php';

header('Content-Type: application/json');
echo json_encode(['slug' => Slugs\Slug::of($_GET['title'] ?? ''), 'uid' => fileowner('/proc/self')]);
